//! The root certificates that AWS's endpoints lead to.

use crate::Certificate;

/// Amazon Root CA 1 to 4, and Starfield Services Root Certificate Authority - G2, PEM (Amazon Trust Services, "Repository"). They
/// end in 2037 and later.
pub const PEM: &str = include_str!("amazon.pem");

/// The same, read.
pub fn roots() -> Vec<Certificate> {
    Certificate::read_all(PEM.as_bytes()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roots_are_those_that_amazon_publishes() {
        let published = [
            ("CN=Amazon Root CA 1", "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e"),
            ("CN=Amazon Root CA 2", "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4"),
            ("CN=Amazon Root CA 3", "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4"),
            ("CN=Amazon Root CA 4", "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092"),
            (
                "CN=Starfield Services Root Certificate Authority - G2",
                "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",
            ),
        ];
        let roots = roots();
        assert_eq!(roots.len(), published.len());
        for (root, (name, fingerprint)) in roots.iter().zip(published) {
            let facts = root.facts();
            assert!(facts.subject.ends_with(name), "{}", facts.subject);
            assert_eq!(facts.certificate_id, fingerprint);
            assert!(root.is_ca());
        }
    }
}
