//! A board, the port to it, its disk, and what is written to it.

use iot_kit::disk::STATUS;
use iot_kit::intel_hex::Format;
use iot_kit::kits::DISK_LABEL;
use iot_kit::{disk, intel_hex, wifi};

use super::Text;

pub(super) fn kit(error: &iot_kit::Error) -> Text {
    use iot_kit::Error as E;
    match error {
        E::NoBoard => "plug a kit in with a USB data cable; if the kit is not detected, name its port with --port".into(),
        E::SeveralBoards { .. } => "choose one with --port PORT or with the last digits of its serial number, -s DIGITS".into(),
        E::NoSuchBoard { .. } => "see what is there with: provisioner boards".into(),
        E::Cellular { .. } => "the supported kits are AVR-IoT WG and WA, PIC-IoT WG and WA, and SAM-IoT WG".into(),
        E::Disk(error) => disk(error),
        E::Wifi(error) => wifi(error),
        E::List { .. } => "name the port with --port".into(),
        E::PortsFile { .. } => "put the file there, with one PORT or PORT=SERIAL a line, or unset the variable".into(),
        E::NoPort { .. } => "see what is there with: provisioner boards; a board that has just been plugged in needs a moment".into(),
        E::PortInUse { .. } => "close the terminal program or the other run that has it, and run again".into(),
        E::PortDenied { group, .. } => permission(std::env::consts::OS, group.as_deref()),
        E::Open { .. } => "check that it is a serial port; unplug the board and plug it in again".into(),
        E::Silent { .. } => "the provisioning firmware must be in it; press reset, or unplug it and plug it in again, then run again; an AVR-IoT kit says nothing at all while its secure element does not work".into(),
        E::Hangs { .. } => "press reset, or unplug it and plug it in again, then run again; if it happens again, its Wi-Fi module or its secure element does not work".into(),
        E::Foreign { port, .. } => format!("put the provisioning firmware into the board, and check that {port} is the board's port").into(),
        E::Lost { .. } => "plug it in again and run again; a board that was not finished is completed then".into(),
        E::Refused { .. } => "run again; if it happens again, the board or its firmware is faulty".into(),
        E::Astray { .. } | E::BootSector { .. } => "the module may not start any more: check the USB cable and hub, write the module's firmware anew (Microchip's iotprovision does it with: iotprovision wincupgrade --fwinc), and run again".into(),
        E::Slow { .. } => "plug the board into this computer, without a network or a virtual machine in between, or run it where the board is plugged in".into(),
        E::Link { .. } => "check the USB cable and hub, and close programs that may use the port; a port that is reached over a network or through a virtual machine can be too slow; then run again".into(),
    }
}

fn disk(error: &disk::Error) -> Text {
    use disk::Error as E;
    match error {
        E::NoDisk { .. } => format!("it has the label {DISK_LABEL}; mount it (on Linux: udisksctl mount -b /dev/disk/by-label/{DISK_LABEL}), or name its folder with --disk DIR").into(),
        E::NotADisk { .. } => format!("name the folder where the disk {DISK_LABEL} is mounted").into(),
        E::OtherKit { .. } => "name the folder of the right disk with --disk DIR, or choose the other kit with -s".into(),
        E::UnknownTarget => "the supported kits are AVR-IoT WG and WA, PIC-IoT WG and WA, and SAM-IoT WG".into(),
        E::File(durable_files::Error::Io { .. }) => "check the name of the file".into(),
        E::File(error) => super::files::files(error),
        E::Image { source, .. } => image(source),
        E::Write { .. } => "unplug the kit and plug it in again, wait for its disk, and run again".into(),
        E::Failed { .. } => "unplug the kit and plug it in again, and run again".into(),
        E::NoOutcome { .. } => format!("the disk appears again after programming: if the system does not mount it by itself, mount it again and read {STATUS}").into(),
    }
}

fn image(error: &intel_hex::Error) -> Text {
    use intel_hex::Error as E;
    match error {
        E::Other(format) => other(*format),
        E::Record { .. } => "the file is damaged or is not Intel HEX; build it or download it again".into(),
        E::NoEnd { .. } => "the file was cut short; build it or download it again".into(),
        E::Large => "this is no image for a kit's microcontroller".into(),
        E::Empty => "build it or download it again".into(),
        E::Outside { .. } => "this image is for another kit, or too large for this one".into(),
        E::NoStart { .. } => {
            "an application that was linked for a boot loader cannot be put into the kit by itself".into()
        }
        E::OtherTarget { .. } => "take the image that was built for this kit".into(),
    }
}

/// What makes Intel HEX of a file of another kind.
fn other(format: Format) -> Text {
    match format {
        Format::Elf => "make Intel HEX of it with the objcopy of its compiler: avr-objcopy, arm-none-eabi-objcopy (-O ihex FILE.elf FILE.hex) or xc16-bin2hex FILE.elf",
        Format::Uf2 => "take the Intel HEX file that the build makes beside it",
        Format::SRecord => "make Intel HEX of it: objcopy -I srec -O ihex FILE FILE.hex",
        Format::TiTxt => "have the build make Intel HEX, or convert it: srec_cat FILE -ti_txt -o FILE.hex -intel",
        Format::Verilog | Format::Dump | Format::Digits => "take the Intel HEX file that the build makes, whose lines begin with a colon",
        Format::CSource => "take the Intel HEX file that the array was made of",
        Format::Conflict => "take one of the two versions whole, with `git checkout --ours FILE` or `git checkout --theirs FILE`, or build it again",
        Format::Html => "download the file itself, not the page that shows it (on GitHub: Raw)",
        Format::LfsPointer => "get the file itself with: git lfs pull",
        Format::Archive => "unpack it and name the Intel HEX file in it",
        Format::Utf16 => "save it as ASCII or UTF-8; in PowerShell: Get-Content FILE | Set-Content -Encoding ascii FILE.hex",
        Format::Text => "look into it: it may be the message of a server, in the place of the file",
        Format::Binary => "take the Intel HEX file that the build makes beside it: a binary file does not say where its bytes belong",
    }
    .into()
}

fn wifi(error: &wifi::Error) -> Text {
    use wifi::Error as E;
    match error {
        E::SsidLength(..) => "the name (SSID) of a network has 1 to 32 bytes (IEEE 802.11, 9.4.2.2)".into(),
        E::OpenWithSecret => "leave the passphrase out, or choose --auth wpa-psk".into(),
        E::WpaPassphrase => "a passphrase has 8 to 63 printable ASCII characters, a raw key 64 hex digits (IEEE 802.11, J.4)".into(),
        E::WepKey => "a WEP key has 5 or 13 ASCII characters, or 10 or 26 hex digits".into(),
        E::Secret => "it has 1 to 63 printable ASCII characters".into(),
        E::Console { .. } => "the console separates its arguments by commas; give the network another name or passphrase".into(),
        E::NoAnswer { .. } => "the demo application must be running, not the provisioning firmware; flash it first, or use the kit's disk".into(),
        E::Lost { .. } => "plug it in again and run again".into(),
    }
}

/// Groups that are no group of serial ports: who is in one of them may do much more than use a port.
const PRIVILEGED_GROUPS: [&str; 4] = ["root", "wheel", "sudo", "disk"];

/// What lets a user open a port that belongs to `group`. What root makes in the home folder would be in the user's way.
fn permission(os: &str, group: Option<&str>) -> Text {
    const RULE: &str =
        "install the udev rule provisioner/udev/60-microchip-iot.rules and plug the board in again";
    match os {
        "linux" => match group.filter(|group| !PRIVILEGED_GROUPS.contains(group)) {
            Some(group) => format!(
                "{RULE}; or join the group of the port (sudo usermod -aG {group} $USER) and log in again. provisioner itself \
                 does not need sudo"
            )
            .into(),
            None => format!("{RULE}. provisioner itself does not need sudo").into(),
        },
        "macos" => "ports of the kits are open to all users: check whether another program or a driver of \
                    a maker has claimed it"
            .into(),
        "windows" => {
            "close the program that has it open; the Device Manager lists ports, COM10 and above as well, \
                      under Ports (COM & LPT)"
                .into()
        }
        _ => "give your user the right to read and write it".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cure_for_a_port_that_may_not_be_opened_is_that_of_the_system() {
        let linux = |group| permission("linux", group);
        assert!(linux(Some("uucp")).contains("usermod -aG uucp"));
        for group in [None, Some("root"), Some("wheel")] {
            assert!(linux(group).contains("udev rule") && !linux(group).contains("usermod"), "{group:?}");
        }
        for group in [None, Some("root"), Some("dialout")] {
            assert!(linux(group).contains("does not need sudo"), "{group:?}");
        }
        assert!(permission("windows", None).contains("COM10"));
    }
}
