//! Which version of the function a program is, without running it.

/// Version of this crate and of the function (SemVer).
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Name, version and purpose of the function: the first line of its help, by which [`find`] knows its program.
pub const TITLE: &str = concat!(
    "jitr ",
    env!("CARGO_PKG_VERSION"),
    ": registers devices in AWS IoT Core when they first connect."
);

/// The version of the function whose program this is, or the part of it with the constants. `None` if it is another program, or of
/// a version that did not say it.
pub fn find(program: &[u8]) -> Option<&str> {
    let (name, purpose) = TITLE.split_once(VERSION)?;
    let end = program.windows(purpose.len()).position(|bytes| bytes == purpose.as_bytes())?;
    let of_version = |byte: &u8| byte.is_ascii_alphanumeric() || b".+-".contains(byte);
    let start = program[..end].iter().rposition(|byte| !of_version(byte))? + 1;
    let version = std::str::from_utf8(&program[start..end]).ok().filter(|version| !version.is_empty());
    version.filter(|_| program[..start].ends_with(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_between_name_and_purpose_alone() {
        let other = TITLE.replace(VERSION, "12.0.3-rc.1");
        let cases = [
            (format!("constants{TITLE}more"), Some(VERSION)),
            (format!("\0{other}\0"), Some("12.0.3-rc.1")),
            (TITLE.replace(VERSION, ""), None),
            (TITLE.replace("jitr ", "jitr\0"), None),
            (TITLE.replace("jitr ", ""), None),
            (TITLE.replace("devices", "things"), None),
            (String::new(), None),
        ];
        for (program, version) in cases {
            assert_eq!(find(program.as_bytes()), version, "{program}");
        }
    }
}
