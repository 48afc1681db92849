//! What nobody else can guess.

use aws_lc_rs::rand;

/// 40 characters of 160 random bits.
///
/// # Panics
/// If the operating system has no random numbers.
pub(crate) fn random() -> String {
    let mut bytes = [0; 20];
    #[allow(clippy::expect_used, reason = "nothing secret could be made then")]
    rand::fill(&mut bytes).expect("the operating system has random numbers");
    hex::encode(bytes)
}
