//! Screens of several sizes.

use super::*;

/// Boards on ports `/dev/ttyACM00`, …: done, but the third failed and the last two are at work.
fn boards(count: u64, now: Instant) -> BTreeMap<String, Row> {
    let row = |number: u64| {
        let state = match number {
            2 => State::Ended { word: "failed", took: Duration::from_millis(3_040), good: false },
            _ if number + 2 >= count => {
                let since = now.checked_sub(Duration::from_millis(1_250)).unwrap();
                State::AtWork { step: "Locking the slots of the factory certificates", since }
            }
            _ => State::Ended { word: "already provisioned", took: Duration::from_millis(980), good: true },
        };
        let serial = format!("MCHP32610218000{number:05}");
        (format!("/dev/ttyACM{number:02}"), Row { serial, state, left: number == 1, changed: number })
    };
    (0..count).map(row).collect()
}

fn screen(count: u64, height: usize, width: usize) -> Vec<String> {
    let now = Instant::now();
    let ended = (count.saturating_sub(3) as usize, usize::from(count > 2));
    Frame { height, width, color: false, now }.lines(&boards(count, now), ended)
}

#[test]
fn seventeen_boards_on_twelve_lines_are_those_that_matter_and_a_line_that_counts_the_others() {
    let lines = screen(17, 12, 100);
    assert_eq!(lines.len(), 12);
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn all_are_shown_where_there_is_room_and_the_head_where_there_is_more() {
    assert_eq!(screen(17, 18, 100).len(), 18);
    assert!(screen(17, 18, 100)[0].starts_with("/dev/ttyACM00"));
    assert_eq!(screen(17, 19, 100).len(), 19);
    assert_eq!(screen(17, usize::MAX, 100).len(), 19);
    insta::assert_snapshot!(screen(4, 24, 100).join("\n"));
    assert_eq!(screen(0, 24, 80)[1], "0 boards: 0 at work, 0 done, 0 failed");
}

#[test]
fn forty_columns_have_the_port_and_the_result() {
    insta::assert_snapshot!(screen(4, 24, 40).join("\n"));
}

#[test]
fn no_line_is_wider_than_the_screen_and_no_screen_longer() {
    for width in 1..120 {
        for height in 2..24 {
            let lines = screen(17, height, width);
            assert!(lines.len() <= height, "{height}");
            assert!(lines.iter().all(|line| measure_text_width(line) <= width), "{width}: {lines:#?}");
        }
    }
}

#[test]
fn a_long_port_keeps_its_end_and_nothing_in_it_acts_on_the_terminal() {
    let now = Instant::now();
    let mut rows = boards(1, now);
    let mut row = rows.remove("/dev/ttyACM00").unwrap();
    row.serial = "\u{1b}[2J".to_owned();
    rows.insert("/dev/serial/by-id/usb-Microchip_MCHP-if00".to_owned(), row);
    let lines = Frame { height: 9, width: 40, color: false, now }.lines(&rows, (0, 0));
    assert!(lines[1].starts_with('…') && lines[1].contains("-if00"), "{lines:?}");
    let wide = Frame { height: 9, width: 120, color: false, now }.lines(&rows, (0, 0));
    assert!(wide[1].contains(r"\u{1b}[2J") && !wide[1].contains('\u{1b}'), "{wide:?}");
}

#[test]
fn colours_say_what_words_say_and_are_left_out_where_they_are_not_wanted() {
    let now = Instant::now();
    let painted = Frame { height: 24, width: 100, color: true, now }.lines(&boards(5, now), (2, 1));
    let plain = Frame { height: 24, width: 100, color: false, now }.lines(&boards(5, now), (2, 1));
    assert!(plain.iter().all(|line| !line.contains('\u{1b}')));
    let stripped = painted.iter().map(|line| anstream::adapter::strip_str(line).to_string());
    assert_eq!(stripped.collect::<Vec<_>>(), plain);
    assert!(painted[3].starts_with("\u{1b}[1m\u{1b}[31m"), "{:?}", painted[3]);
}
