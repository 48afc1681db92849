//! What has come and gone between two looks at the list of ports. Pure.

use std::collections::BTreeMap;

use iot_kit::Kit;

/// The boards that were there at the last look.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    seen: BTreeMap<String, Kit>,
}

/// What is different from the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Boards that were not there.
    pub(super) arrived: Vec<Kit>,
    /// Ports whose board is gone.
    pub(super) left: Vec<String>,
}

impl Arrivals {
    /// Takes a look. A board with another serial number on the same port is another board.
    pub(super) fn update(&mut self, now: Vec<Kit>) -> Change {
        let now: BTreeMap<String, Kit> = now.into_iter().map(|kit| (kit.port.clone(), kit)).collect();
        let same = |a: &Kit, b: &Kit| (&a.port, &a.usb_serial) == (&b.port, &b.usb_serial);
        let is_in = |boards: &BTreeMap<String, Kit>, kit: &Kit| {
            boards.get(&kit.port).is_some_and(|other| same(other, kit))
        };
        let change = Change {
            arrived: now.values().filter(|kit| !is_in(&self.seen, kit)).cloned().collect(),
            left: self.seen.values().filter(|kit| !is_in(&now, kit)).map(|kit| kit.port.clone()).collect(),
        };
        self.seen = now;
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iot_kit::ports;

    fn kit(port: &str, serial: &str) -> Kit {
        ports::choose(&[], Some(port), Some(serial)).unwrap()
    }

    #[test]
    fn a_board_arrives_once_and_again_after_it_was_away() {
        let mut arrivals = Arrivals::default();
        let board = kit("/dev/ttyACM0", "MCHP1");
        assert_eq!(arrivals.update(vec![board.clone()]).arrived, std::slice::from_ref(&board));
        assert_eq!(arrivals.update(vec![board.clone()]), Change::default());
        assert_eq!(arrivals.update(vec![]).left, ["/dev/ttyACM0"]);
        assert_eq!(arrivals.update(vec![board.clone()]).arrived, [board]);
    }

    #[test]
    fn another_board_on_the_same_port_is_another_board_however_quick_the_change() {
        let mut arrivals = Arrivals::default();
        arrivals.update(vec![kit("/dev/ttyACM0", "MCHP1")]);
        let other = kit("/dev/ttyACM0", "MCHP2");
        let change = arrivals.update(vec![other.clone()]);
        assert_eq!(change, Change { arrived: vec![other], left: vec!["/dev/ttyACM0".into()] });
    }

    #[test]
    fn boards_on_other_ports_do_not_matter() {
        let mut arrivals = Arrivals::default();
        arrivals.update(vec![kit("a", "1"), kit("b", "2")]);
        let change = arrivals.update(vec![kit("b", "2"), kit("c", "1")]);
        assert_eq!(change, Change { arrived: vec![kit("c", "1")], left: vec!["a".into()] });
    }
}
