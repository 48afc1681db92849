//! Leaves out of a report what is nobody's business: secrets, account numbers, and where the user's home is.

/// What the names of variables with secrets have in them.
const SECRET_NAMES: [&str; 9] =
    ["SECRET", "TOKEN", "PASS", "PASSWORD", "PSK", "PIN", "CREDENTIAL", "KEY", "AUTH"];

/// Shorter values would be found everywhere.
const SHORTEST: usize = 4;

/// Texts that are replaced.
#[derive(Debug, Default)]
pub(super) struct Redaction {
    /// What is replaced, and by what; longer texts first.
    texts: Vec<(String, String)>,
}

impl Redaction {
    /// Of what the environment has: the values of variables that are secret by their names, and the home folder.
    pub(super) fn of(environment: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut redaction = Self::default();
        for (name, value) in environment {
            // A file that holds a secret is named by a path, which may stay.
            let is_path = value.contains(['/', '\\']) && std::path::Path::new(&value).exists();
            match name.to_uppercase() {
                name if ["HOME", "USERPROFILE"].contains(&name.as_str()) => redaction.replace(&value, "~"),
                name if !is_path && SECRET_NAMES.iter().any(|word| name.contains(word)) => {
                    redaction.replace(&value, &format!("[{name}]"));
                }
                _ => {}
            }
        }
        redaction
    }

    /// Replaces a text from now on, and its bytes in hex.
    pub(super) fn replace(&mut self, text: &str, by: &str) {
        if text.len() < SHORTEST {
            return;
        }
        for form in [text.to_owned(), hex::encode_upper(text), hex::encode(text)] {
            self.texts.push((form, by.to_owned()));
        }
        self.texts.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    }

    /// The text without them, without numbers of accounts, access keys and private keys.
    pub(super) fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (secret, by) in &self.texts {
            text = text.replace(secret.as_str(), by);
        }
        words(&without_private_keys(&text))
    }
}

/// Runs of letters and digits that are the number of an account (12 digits), or an access key (20 capitals and digits that begin
/// with AKIA or ASIA), are left out.
fn words(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric();
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let end = rest[start..].find(|c| !is_part(c)).map_or(rest.len(), |length| start + length);
        let word = &rest[start..end];
        shown.push_str(&rest[..start]);
        shown.push_str(match word {
            _ if word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_digit()) => "[account]",
            _ if word.len() == 20
                && (word.starts_with("AKIA") || word.starts_with("ASIA"))
                && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) =>
            {
                "[access key]"
            }
            _ => word,
        });
        rest = &rest[end..];
    }
    shown + rest
}

/// The text without the content of PEM blocks that have a private key.
fn without_private_keys(text: &str) -> String {
    let mut shown = String::new();
    let mut is_inside = false;
    for line in text.split_inclusive('\n') {
        let is_key = line.contains("PRIVATE KEY-----");
        match (is_inside, is_key && line.contains("-----BEGIN"), is_key && line.contains("-----END")) {
            (false, true, false) => {
                is_inside = true;
                shown.push_str("[private key]\n");
            }
            (false, true, true) => shown.push_str("[private key]\n"),
            (true, _, ends) => is_inside = !ends,
            (false, ..) => shown.push_str(line),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_in_every_form_and_the_rest_stays() {
        let environment = [
            ("HOME", "/home/ann"),
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG"),
            ("MICROCHIP_IOT_PSK", "hunter22"),
            ("SHORT_PIN", "12"),
            ("LANG", "C.UTF-8"),
        ];
        let redaction = Redaction::of(environment.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let text = "in /home/ann: wJalrXUtnFEMI/K7MDENG, hunter22, 68756E7465723232, 68756e7465723232, C.UTF-8, 12; \
                    arn:aws:iam::123456789012:user/ann with AKIAIOSFODNN7EXAMPLE, 1234567890123 and 0123AABBCCDDEEFFEE";
        assert_eq!(
            redaction.apply(text),
            "in ~: [AWS_SECRET_ACCESS_KEY], [MICROCHIP_IOT_PSK], [MICROCHIP_IOT_PSK], [MICROCHIP_IOT_PSK], C.UTF-8, 12; \
             arn:aws:iam::[account]:user/ann with [access key], 1234567890123 and 0123AABBCCDDEEFFEE"
        );
    }

    #[test]
    fn a_private_key_is_left_out_whole() {
        let text = "before\n-----BEGIN PRIVATE KEY-----\nMIGHAgEAMB\n-----END PRIVATE KEY-----\nafter\n";
        assert_eq!(Redaction::default().apply(text), "before\n[private key]\nafter\n");
    }
}
