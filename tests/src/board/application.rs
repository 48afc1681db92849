//! The demo application of a kit: a console at 9600 baud that knows nothing of the provisioning firmware's commands, and a
//! connection to AWS IoT with what is in the Wi-Fi module and the secure element.

use super::firmware::Firmware;

/// Speed of the console, in baud.
pub(super) const CONSOLE_SPEED: u32 = 9600;
/// The longest line of the console, in characters.
const LINE_MAX: usize = 100;
/// Ends an answer.
const END: &str = "\x04";
/// Version of the demo application of AVR-IoT.
const VERSION: &str = "v4.1.2";

/// Where the application reads the endpoint, and how much of it.
const ENDPOINT: (usize, usize) = (0x6E00, 52);
/// Where it reads the thing name, and how much of it.
const THING_NAME: (usize, usize) = (0x6F00, 41);

/// A demo application that runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Application {
    line: Vec<u8>,
    network: Option<Network>,
}

/// A Wi-Fi network that the application knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub ssid: String,
    /// Its passphrase.
    pub passphrase: String,
}

impl Application {
    /// Takes one character of the console; gives the answer to the line that it completes.
    pub(super) fn receive(&mut self, byte: u8, firmware: &Firmware) -> Option<Vec<u8>> {
        if !matches!(byte, b'\r' | b'\n') {
            self.line.push(byte);
            return None;
        }
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return None;
        }
        let answer = match line.len() > LINE_MAX {
            true => "Command too long".to_owned(),
            false => self.execute(&String::from_utf8_lossy(&line), firmware),
        };
        Some(format!("{answer}\r\n{END}").into_bytes())
    }

    fn execute(&mut self, line: &str, firmware: &Firmware) -> String {
        let (command, arguments) = line.split_once(' ').unwrap_or((line, ""));
        match command {
            "wifi" => match network(arguments) {
                Some(network) => {
                    self.network = Some(network);
                    "OK".to_owned()
                }
                None => "Error. Wi-Fi command format is wifi <ssid>[,<pass>,[auth]]".to_owned(),
            },
            "version" => VERSION.to_owned(),
            "thing" => thing_name(firmware).unwrap_or_default(),
            "device" => hex::encode_upper(firmware.element.serial()),
            _ => "Unknown command".to_owned(),
        }
    }

    /// What it knows of a network.
    pub(super) fn network(&self) -> Option<&Network> {
        self.network.as_ref()
    }

    /// Starts anew. The Wi-Fi module keeps the network.
    pub(super) fn reset(&mut self) {
        self.line.clear();
    }
}

/// A comma always separates. 1 is a network without a passphrase, 2 WPA, 3 WEP; there is no 4.
fn network(arguments: &str) -> Option<Network> {
    let fields: Vec<&str> = arguments.split(',').collect();
    let (ssid, passphrase) = match fields.as_slice() {
        [ssid] | [ssid, "1"] | [ssid, _, "1"] => (*ssid, ""),
        [_, "2" | "3"] => return None,
        [ssid, passphrase] | [ssid, passphrase, "2" | "3"] => (*ssid, *passphrase),
        _ => return None,
    };
    (!ssid.is_empty()).then(|| Network { ssid: ssid.to_owned(), passphrase: passphrase.to_owned() })
}

/// The thing name in the Wi-Fi module, as the application reads it: taken for absent where its first or last byte is erased
/// flash.
pub(super) fn thing_name(firmware: &Firmware) -> Option<String> {
    let (at, size) = THING_NAME;
    let bytes = &firmware.flash.image()[at..at + size];
    let is_there = bytes[0] != 0xFF && bytes[size - 1] != 0xFF;
    is_there.then(|| text(bytes))
}

/// The endpoint in the Wi-Fi module, as the application reads it: what is longer is cut off.
pub(super) fn endpoint(firmware: &Firmware) -> Option<String> {
    let (at, size) = ENDPOINT;
    let bytes = &firmware.flash.image()[at..at + size];
    (bytes[0] != 0xFF).then(|| text(&bytes[..size - 1]))
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Whether an Intel HEX file has a provisioning firmware, which has the names of its commands in it, and not an application. In
/// the flash of a PIC24, text is in two of every four bytes.
pub(super) fn is_provisioning_firmware(hex_file: &str) -> bool {
    const COMMANDS: &[u8] = b"MC+";
    let mut content = Vec::new();
    for record in hex_file.lines().filter_map(|line| hex::decode(line.trim().strip_prefix(':')?).ok()) {
        if let [_, _, _, 0x00, data @ .., _] = record.as_slice() {
            content.extend_from_slice(data);
        }
    }
    let halves: Vec<u8> = content.chunks(4).flat_map(|word| word.iter().take(2)).copied().collect();
    [content, halves].iter().any(|text| text.windows(COMMANDS.len()).any(|part| part == COMMANDS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::{Kit, Profile, Seed};

    #[test]
    fn the_console_knows_its_own_commands_alone() {
        let firmware = Firmware::new(Kit::AvrIotWg, Seed(1), Profile::Mah1h).unwrap();
        let mut application = Application::default();
        let mut answer = |line: &str| {
            let answers = line.bytes().filter_map(|byte| application.receive(byte, &firmware)).flatten();
            String::from_utf8(answers.collect()).unwrap()
        };
        let table: Vec<String> = [
            "version\r\n",
            "MC+PING=1\r\n",
            "wifi net,hush-hush,2\n",
            "wifi net,2\n",
            "wifi net,hush-hush,4\n",
            "wifi a,b,c,2\n",
            "wifi \n",
            "\r\n\r\n",
            &format!("{}\n", "x".repeat(101)),
        ]
        .into_iter()
        .map(|line| format!("{:?}", answer(line)))
        .collect();
        insta::assert_snapshot!(table.join("\n"), @r#"
        "v4.1.2\r\n\u{4}"
        "Unknown command\r\n\u{4}"
        "OK\r\n\u{4}"
        "Error. Wi-Fi command format is wifi <ssid>[,<pass>,[auth]]\r\n\u{4}"
        "Error. Wi-Fi command format is wifi <ssid>[,<pass>,[auth]]\r\n\u{4}"
        "Error. Wi-Fi command format is wifi <ssid>[,<pass>,[auth]]\r\n\u{4}"
        "Error. Wi-Fi command format is wifi <ssid>[,<pass>,[auth]]\r\n\u{4}"
        ""
        "Command too long\r\n\u{4}"
        "#);
        let known = Network { ssid: "net".to_owned(), passphrase: "hush-hush".to_owned() };
        assert_eq!(application.network(), Some(&known));
    }

    #[test]
    fn networks_without_a_passphrase_have_three_forms() {
        for arguments in ["net", "net,1", "net,,1"] {
            let open = Network { ssid: "net".to_owned(), passphrase: String::new() };
            assert_eq!(network(arguments), Some(open), "{arguments}");
        }
    }

    #[test]
    fn a_program_is_told_by_the_texts_in_it() {
        let record = |data: &[u8]| {
            let mut bytes = vec![data.len() as u8, 0, 0, 0];
            bytes.extend(data);
            bytes.push(bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte)));
            format!(":{}\r\n:00000001FF\r\n", hex::encode_upper(bytes))
        };
        assert!(is_provisioning_firmware(&record(b"\x0C\x94\0\0MC+ECC\0")));
        assert!(is_provisioning_firmware(&record(b"MC\0\0+E\0\0CC\0\0")));
        assert!(!is_provisioning_firmware(&record(b"\x0C\x94\0\0sensors\0")));
        assert!(!is_provisioning_firmware("no records"));
    }
}
