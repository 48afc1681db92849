//! How boards get into an account.

/// How a board gets into an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By itself, when it first connects (just-in-time registration).
    Jitr,
    /// The same as `jitr`.
    Custom,
    /// By this tool, as soon as it is provisioned (multi-account registration).
    Mar,
    /// By the vendor, in the vendor's public account, with the certificates from the secure element's factory.
    Sandbox,
}

impl Method {
    /// The word that the ledger has for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Jitr | Self::Custom => "jitr",
            Self::Mar => "mar",
            Self::Sandbox => "sandbox",
        }
    }
}
