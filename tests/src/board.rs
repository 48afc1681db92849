//! The simulated board: the whole serial protocol on a pseudo terminal, at wire speed and with device times.
