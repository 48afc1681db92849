//! Which kits are found and which one is chosen, from lists as systems give them.

use serialport::UsbPortInfo;

use super::*;

fn usb(port: &str, vid: u16, pid: u16, serial: Option<&str>) -> SerialPortInfo {
    SerialPortInfo {
        port_name: port.into(),
        port_type: SerialPortType::UsbPort(UsbPortInfo {
            vid,
            pid,
            serial_number: serial.map(Into::into),
            manufacturer: None,
            product: Some("nEDBG CMSIS-DAP".into()),
        }),
    }
}

fn two() -> Vec<Kit> {
    recognise(
        &[
            usb("/dev/ttyACM0", 0x03EB, 0x2175, Some("MCHP3261021800001234")),
            usb("/dev/ttyUSB0", 0x0403, 0x6001, Some("FTDI")),
            SerialPortInfo { port_name: "/dev/ttyS0".into(), port_type: SerialPortType::PciPort },
        ],
        "/dev/pts/3=MCHP5678, /dev/pts/4",
    )
}

#[test]
fn kits_are_known_by_usb_ids_or_by_name_and_other_ports_are_left_alone() {
    let ports: Vec<_> = two().into_iter().map(|kit| (kit.port, kit.usb_serial)).collect();
    assert_eq!(
        ports,
        [
            ("/dev/pts/3".into(), Some("MCHP5678".into())),
            ("/dev/pts/4".into(), None),
            ("/dev/ttyACM0".into(), Some("MCHP3261021800001234".into())),
        ]
    );
}

#[cfg(unix)]
#[test]
fn a_port_is_the_same_by_each_of_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("ttyACM0"), "").unwrap();
    std::os::unix::fs::symlink(path("ttyACM0"), path("by-id")).unwrap();
    let found = [usb(&path("ttyACM0"), 0x03EB, 0x2175, Some("MCHP1"))];
    for (named, serial) in [(path("by-id"), "MCHP1"), (format!("{}=MCHP2", path("by-id")), "MCHP2")] {
        let kits = recognise(&found, &named);
        assert_eq!(kits.len(), 1, "{kits:?}");
        for port in [path("ttyACM0"), path("by-id")] {
            let kit = choose(&kits, Some(&port), None).unwrap();
            assert_eq!((kit.port, kit.usb_serial.as_deref()), (path("ttyACM0"), Some(serial)));
            assert_eq!(kit.usb_vendor_id, Some(0x03EB));
        }
    }
    assert!(!Kit::on(&path("by-id"), None).is_on(&path("other")));
}

#[test]
fn what_a_kit_says_of_itself_controls_no_terminal() {
    let kits = recognise(&[usb("p", 0x03EB, 0x2175, Some("MCHP1\u{1b}[2J\n"))], "");
    assert_eq!(kits[0].usb_serial.as_deref(), Some("MCHP1\u{fffd}[2J\u{fffd}"));
}

#[test]
fn a_port_that_macos_lists_twice_is_one_kit() {
    let both = ["/dev/cu.usbmodem1", "/dev/tty.usbmodem1"].map(|p| usb(p, 0x03EB, 0x2175, Some("MCHP1")));
    assert_eq!(recognise(&both, "").len(), 1);
}

#[test]
fn the_last_digits_of_a_serial_number_choose() {
    assert_eq!(choose(&two(), None, Some("1234")).unwrap().port, "/dev/ttyACM0");
    assert_eq!(choose(&two(), None, Some("mchp5678")).unwrap().port, "/dev/pts/3");
    assert!(matches!(choose(&two(), None, Some("9")), Err(Error::NoSuchBoard { .. })));
}

#[test]
fn several_boards_and_no_choice_is_an_error_that_lists_them() {
    assert!(matches!(choose(&[], None, None), Err(Error::NoBoard)));
    let error = choose(&two(), None, None).unwrap_err();
    insta::assert_snapshot!(error, @"there are several boards: /dev/pts/3  MCHP5678; /dev/pts/4  (no serial number); /dev/ttyACM0  MCHP3261021800001234  nEDBG CMSIS-DAP");
}

#[test]
fn a_named_port_needs_not_be_a_kit() {
    assert_eq!(choose(&two(), Some("/dev/ttyS7"), None).unwrap(), Kit::on("/dev/ttyS7", None));
    assert_eq!(choose(&two(), Some("/dev/pts/3"), None).unwrap().usb_serial.unwrap(), "MCHP5678");
}

#[test]
fn the_usb_product_name_or_the_disk_says_which_kit_it_is() {
    let mut kits = two();
    let disk = KitInfo::parse(b"AVR-IoT WA, MCHP3261021800001234");
    name_by_disk(&mut kits, &[disk]);
    assert_eq!(kits[2].to_string(), "/dev/ttyACM0  MCHP3261021800001234  AVR-IoT WA");
    assert_eq!((kits[0].model, kits[1].model), (None, None));
    let mut info = usb("/dev/ttyACM0", 0x03EB, 0x2175, Some("MCHP1"));
    let SerialPortType::UsbPort(port) = &mut info.port_type else { panic!("no USB port") };
    port.product = Some("SAM-IoT WG nEDBG".into());
    assert_eq!(recognise(&[info], "")[0].model.unwrap().name(), "SAM-IoT WG");
}

#[test]
fn a_cellular_kit_is_recognised_and_declined() {
    let mut kits = two();
    name_by_disk(&mut kits, &[KitInfo::parse(b"AVR-IoT Cellular Mini, MCHP3261021800001234")]);
    let error = choose(&kits, None, Some("1234")).unwrap_err();
    insta::assert_snapshot!(error, @"the AVR-IoT Cellular Mini on /dev/ttyACM0 connects by a cellular modem, and only kits with a Wi-Fi module can be provisioned");
}

#[test]
fn the_udev_rule_is_for_the_kits() {
    let rule = include_str!("../../../udev/60-microchip-iot.rules");
    let ids =
        format!("ATTRS{{idVendor}}==\"{USB_VENDOR_ID:04x}\", ATTRS{{idProduct}}==\"{USB_PRODUCT_ID:04x}\"");
    assert!(rule.contains(&ids), "{ids}");
}
