//! Faults that can be injected into the simulated board.
