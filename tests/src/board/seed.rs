//! Where everything that differs from board to board comes from: one number, so that a test can have the same board twice.

use sha2::{Digest, Sha256};

/// The number a board is made from: its serial number, its key, the filling of its flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// A new one, from the operating system.
    ///
    /// # Errors
    /// Without randomness.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; 8];
        rustls::crypto::aws_lc_rs::default_provider()
            .secure_random
            .fill(&mut bytes)
            .map_err(|_| std::io::Error::other("no randomness from the operating system"))?;
        Ok(Self(u64::from_le_bytes(bytes)))
    }

    /// An endless stream of bytes for one `purpose`, different from every other purpose's.
    pub(super) fn stream(self, purpose: &'static str) -> impl Iterator<Item = u8> {
        (0u64..).flat_map(move |block| {
            let mut hash = Sha256::new();
            hash.update(self.0.to_le_bytes());
            hash.update(purpose.as_bytes());
            hash.update(block.to_le_bytes());
            <[u8; 32]>::from(hash.finalize())
        })
    }

    /// The first `N` bytes of [`Seed::stream`].
    pub(super) fn bytes<const N: usize>(self, purpose: &'static str) -> [u8; N] {
        let mut stream = self.stream(purpose);
        std::array::from_fn(|_| stream.next().unwrap_or_default())
    }
}
