//! What is read, and how what is not read is named.

use proptest::prelude::*;

use super::*;

/// A record with its checksum.
fn line(kind: u8, offset: u16, data: &[u8]) -> String {
    let [high, low] = offset.to_be_bytes();
    let mut bytes = vec![data.len() as u8, high, low, kind];
    bytes.extend(data);
    let sum = bytes.iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
    bytes.push(sum.wrapping_neg());
    format!(":{}\r\n", hex::encode_upper(bytes))
}

const END: &str = ":00000001FF\n";
const AVR: [u8; 8] = [0x0C, 0x94, 0x5C, 0x00, 0x0C, 0x94, 0x77, 0x00];

fn parse(text: &str) -> Result<Image, Error> {
    Image::parse(text.as_bytes())
}

#[test]
fn the_records_of_the_specification_are_read() {
    let image = parse(&format!(
        "{}{}{}{}{}{}{END}",
        line(0, 0xFFFE, &[1, 2]),
        line(4, 0, &[0x00, 0x81]),
        line(0, 0x0010, &[3]),
        line(2, 0, &[0x12, 0x34]),
        line(0, 0xFFFF, &[4, 5]),
        line(5, 0, &[0, 0, 0, 0]),
    ))
    .unwrap();
    let at = |address| image.byte(address);
    assert_eq!((at(0xFFFE), at(0xFFFF), at(0x1_0000)), (Some(1), Some(2), None));
    assert_eq!(at(0x81_0010), Some(3));
    assert_eq!((at(0x2_233F), at(0x1_2340)), (Some(4), Some(5)));
    assert_eq!(image.size(), 5);
}

#[test]
fn errors_name_the_line() {
    let good = line(0, 0, &AVR);
    let mut wrong_sum = line(0, 8, &[1]);
    wrong_sum.replace_range(9..11, "02");
    let table = [
        format!("{good}{wrong_sum}{END}"),
        format!("{good}hello\n{END}"),
        format!("{good}:0G00000000\n"),
        format!("{good}:02000000FE\n"),
        format!("{good}:0000\n"),
        format!("{good}{}", line(7, 0, &[])),
        format!("{good}{}", line(4, 0, &[1])),
        format!("{good}\n\n{}{END}", line(0, 7, &[0xAA])),
        format!("{good}{END}{good}"),
        format!("{good}{END}hello"),
        format!("{}{}{END}", line(4, 0, &[0xFF, 0xFF]), line(0, 0xFFFF, &[1, 2])),
        good.clone(),
        END.to_owned(),
        String::new(),
    ]
    .map(|text| parse(&text).unwrap_err().to_string());
    insta::assert_snapshot!(table.join("\n"), @r"
    line 2: the checksum is 0xf6 and should be 0xf5
    line 2: the record does not begin with a colon
    line 2: there are other characters than pairs of hex digits
    line 2: the record says 2 bytes of data and has 0
    line 2: the record is cut short
    line 2: there is no record type 0x07
    line 2: a record of type 0x04 cannot have this length
    line 4: another byte than before at address 0x000007
    the file ends after line 3 without an end record
    line 3: the record does not begin with a colon
    line 2: the data extends past the end of the address space
    the file ends after line 1 without an end record
    there is no content in the file
    there is no content in the file
    ");
}

#[test]
fn what_editors_and_copies_leave_around_records_is_passed_over() {
    let plain = format!("{}{END}", line(0, 0, &AVR));
    let expected = parse(&plain).unwrap();
    for text in [
        format!("\u{feff}{plain}"),
        format!("\u{feff}\r\n\r\n{plain}"),
        format!("{plain}\u{1a}"),
        format!("{plain}\u{1a}\u{1a}{}", "\0".repeat(100)),
        format!("\0\0{plain}"),
        format!("{plain}\0"),
        format!("{plain}{END}{END}"),
        format!("{plain}\u{1a}{END}"),
        plain.to_lowercase(),
        plain.replace('\n', "\n\n").replace(':', "  :"),
        plain.replace("\r\n", "\n").replace('\n', "\r"),
    ] {
        let image = parse(&text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(image, expected, "{text:?}");
        assert_eq!(image.records(), b":080000000C945C000C947700E5\r\n:00000001FF\r\n");
    }
}

#[test]
fn files_that_were_put_together_are_one_image() {
    let high = [line(4, 0, &[0, 1]), line(0, 0, &[7])].concat();
    let both = parse(&format!("{high}{END}{}{END}", line(0, 0, &AVR))).unwrap();
    assert_eq!((both.byte(0x1_0000), both.byte(0), both.byte(0x1_0001)), (Some(7), Some(AVR[0]), None));
    let records = String::from_utf8(both.records().to_vec()).unwrap();
    assert_eq!(records.matches(":00000001FF").count(), 1, "{records}");
    assert_eq!(parse(&records).unwrap().pieces, both.pieces);
    let clash = format!("{}{END}{}{END}", line(0, 0, &[1]), line(0, 0, &[2]));
    assert_eq!(
        parse(&clash).unwrap_err().to_string(),
        "line 3: another byte than before at address 0x000000"
    );
}

#[test]
fn another_kind_of_file_is_named() {
    let utf16: Vec<u8> = ":00000001FF".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [&[0xFF, 0xFE][..], &utf16].concat();
    let conflict = format!("{}<<<<<<< HEAD\r\n{END}=======\r\n{END}>>>>>>> other\r\n", line(0, 0, &AVR));
    let table: [(&[u8], Format); 27] = [
        (conflict.as_bytes(), Format::Conflict),
        (b"<<<<<<< HEAD\n:00000001FF\n=======\n>>>>>>> main\n", Format::Conflict),
        (b"@0000\n0C 94 5C 00\n@8000\nFF\nq\n", Format::TiTxt),
        (b"@00000000\n0C945C00 0C947700\n", Format::Verilog),
        (b"#include <stdint.h>\nconst uint8_t image[] = {\n  0x0c, 0x94,\n};\n", Format::CSource),
        (b"unsigned char a_hex[] = { 0x3a };", Format::CSource),
        (b"00000000: 0c94 5c00 0c94 7700  ..\\.\n", Format::Dump),
        (b"00000000  0c 94 5c 00 0c 94 77 00  |..\\.|\n", Format::Dump),
        (b"0000000 940c 005c 940c 0077\n", Format::Dump),
        (b"0C 94 5C 00\n0C 94\n", Format::Digits),
        (b"0c945c000c947700", Format::Digits),
        (b"404: Not Found", Format::Text),
        (b"{\"message\": \"Not Found\"}", Format::Text),
        (b"%PDF-1.4\n", Format::Text),
        (b"\x7fELF\x01\x01\x01\0\0", Format::Elf),
        (b"UF2\nWQ]\x9e\0\0", Format::Uf2),
        (b"S00600004844521B\nS9030000FC\n", Format::SRecord),
        (b"\n<!DOCTYPE html><html>", Format::Html),
        ("\u{feff}<?xml version=\"1.0\"?>".as_bytes(), Format::Html),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 100167\n", Format::LfsPointer),
        (b"PK\x03\x04\x14\0", Format::Archive),
        (b"\x1f\x8b\x08\0", Format::Archive),
        (&marked, Format::Utf16),
        (&utf16, Format::Utf16),
        (b"\x0c\x94\x5c\x00\x0c\x94", Format::Binary),
        (&[0; 64], Format::Binary),
        (b"Stra\xDFe", Format::Binary),
    ];
    for (file, format) in table {
        assert_eq!(Image::parse(file), Err(Error::Other(format)), "{file:?}");
    }
}

#[test]
fn an_image_must_fit_and_suit_the_target() {
    let check = |records: &[String], target| {
        parse(&format!("{}{END}", records.concat())).unwrap().check_for(target).map_err(|e| e.to_string())
    };
    let avr = line(0, 0, &AVR);
    let fuses = [line(4, 0, &[0x00, 0x82]), line(0, 0, &[1, 2, 3])].concat();
    assert_eq!(check(&[avr.clone(), fuses], Target::Atmega4808), Ok(()));
    let table = [
        check(std::slice::from_ref(&avr), Target::Atsamd21g18a),
        check(&[line(0, 0, &[0x55; 8])], Target::Atsamd21g18a),
        check(&[avr.clone(), line(0, 0xBFFF, &[1, 2])], Target::Atmega4808),
        check(&[avr, line(4, 0, &[0x00, 0x84]), line(0, 0, &[1])], Target::Atmega4808),
        check(&[line(0, 0x0200, &AVR)], Target::Atmega4808),
    ]
    .map(Result::unwrap_err);
    insta::assert_snapshot!(table.join("\n"), @r"
    the image does not begin as a program for the ATSAMD21G18A does, but as one for the ATmega4808
    the image does not begin as a program for the ATSAMD21G18A does
    the image has content at 0x00c000, where the ATmega4808 has no memory
    the image has content at 0x840000, where the ATmega4808 has no memory
    the image has no code at address 0, where the ATmega4808 begins
    ");
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        pieces in proptest::collection::btree_map(0u32..0x400, proptest::collection::vec(any::<u8>(), 1..200), 1..20)
    ) {
        let mut text = String::new();
        for (page, data) in &pieces {
            let address = page * 0x100;
            text += &line(4, 0, &((address >> 16) as u16).to_be_bytes());
            text += &line(0, address as u16, data);
        }
        let image = parse(&(text + END)).unwrap();
        for (page, data) in &pieces {
            for (i, byte) in data.iter().enumerate() {
                prop_assert_eq!(image.byte(page * 0x100 + i as u32), Some(*byte));
            }
        }
        prop_assert_eq!(image.size(), pieces.values().map(Vec::len).sum::<usize>());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Image::parse(&bytes);
    }

    #[test]
    fn arbitrary_records_never_panic(
        records in proptest::collection::vec((0..7u8, any::<u16>(), proptest::collection::vec(any::<u8>(), 0..6)), 0..20)
    ) {
        let text: String = records.iter().map(|(kind, offset, data)| line(*kind, *offset, data)).collect();
        if let Ok(image) = parse(&(text + END)) {
            for target in Target::ALL {
                let _ = image.check_for(target);
            }
        }
    }
}
