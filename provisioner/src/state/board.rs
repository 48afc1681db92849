//! The files in the folder of a board.

/// The device's certificate signing request, PEM.
pub const REQUEST: &str = "device.csr";
/// The device's certificate, PEM.
pub const CERTIFICATE: &str = "device.crt";
/// The thing name.
pub const THING_NAME: &str = "aws-thing-name.txt";
/// The factory's device certificate, PEM.
pub const FACTORY_CERTIFICATE: &str = "factory-device.crt";
/// The certificate of the factory's signer, PEM.
pub const FACTORY_SIGNER: &str = "factory-signer.crt";
