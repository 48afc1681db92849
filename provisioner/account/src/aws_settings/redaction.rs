//! What a credential process or AWS said, without what may be a secret.

/// Secret access keys have 40 characters, access key ids 20, session tokens hundreds. Ids of keys are left out as well.
const SHORTEST: usize = 16;

/// Stands in the place of what is left out.
const LEFT_OUT: &str = "[left out]";

/// The text in one line, without every run of characters that has the form of a key or a token, and without `secrets`.
pub(super) fn redacted(text: &str, secrets: &[String]) -> String {
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
        text = text.replace(secret.as_str(), LEFT_OUT);
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+/=_".contains(c);
    let mut redacted = String::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find(is_part) {
        let end = rest[start..].find(|c| !is_part(c)).map_or(rest.len(), |length| start + length);
        redacted.push_str(&rest[..start]);
        redacted.push_str(match &rest[start..end] {
            run if looks_secret(run) => LEFT_OUT,
            run => run,
        });
        rest = &rest[end..];
    }
    redacted + rest
}

/// Long, with capital letters and digits, as few words are. A path has more than one slash, and words between them; a variable
/// has words between underscores; and a name such as `Ec2InstanceMetadata` is short and has one digit.
fn looks_secret(run: &str) -> bool {
    let is_path = run.len() != 40 && run.starts_with('/') && run.matches('/').count() > 1;
    let has_lower = run.bytes().any(|c| c.is_ascii_lowercase());
    let is_variable = run.contains('_') && !has_lower;
    let digits = run.bytes().filter(u8::is_ascii_digit).count();
    let is_name = has_lower && run.len() < 24 && digits < 2;
    run.len() >= SHORTEST
        && !(is_path || is_variable || is_name)
        && run.bytes().any(|c| c.is_ascii_digit())
        && run.bytes().any(|c| c.is_ascii_uppercase())
}

/// The arguments of a command line that a flag says are secret: what follows `--password` or `token=`.
pub(super) fn secrets_of(command: &str) -> Vec<String> {
    let names_one = |flag: &str| {
        let flag = flag.to_ascii_lowercase();
        ["pass", "secret", "token", "key", "pin", "pwd"].iter().any(|word| flag.contains(word))
    };
    let words: Vec<_> = command.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
    let assigned = words.iter().filter_map(|word| word.split_once('='));
    let assigned = assigned.filter(|(flag, _)| names_one(flag)).map(|(_, secret)| secret);
    let following = words.windows(2).filter(|pair| pair[0].starts_with('-') && names_one(pair[0]));
    let following = following.map(|pair| pair[1]).filter(|word| !word.starts_with('-'));
    assigned.chain(following).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_stays_and_keys_and_tokens_go() {
        assert_eq!(
            redacted("AWS_EC2_METADATA_DISABLED Ec2InstanceMetadata", &[]).matches("[left").count(),
            0
        );
        let said = "Session token expired,\n run /usr/local/bin/Corp2/login for arn:aws:iam::123456789012:role/Admin";
        assert_eq!(redacted(said, &[]), said.replace("\n ", " "));
        for secret in [
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "/JalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "AKIAIOSFODNN7EXAMPLE",
            "IQoJb3JpZ2luX2VjEOz//////////wEaCXVzLWVhc3QtMSJHMEUCIQ==",
        ] {
            let text = redacted(&format!("bad key {secret}, sorry"), &[]);
            assert_eq!(text, "bad key [left out], sorry", "{secret}");
        }
    }

    #[test]
    fn arguments_that_flags_call_secret_go_too() {
        let secrets = secrets_of("corp-login --user ann --password 'hunter2' --token=abcd1 --verbose");
        assert_eq!(secrets, ["abcd1", "hunter2"]);
        assert_eq!(redacted("no, hunter2 is wrong", &secrets), "no, [left out] is wrong");
    }
}
