//! The DMA controller: single transfers of bytes, one for each trigger of the SPI.

use crate::registers::Registers;

const INTPEND: u32 = 0x20;
const INTSTATUS: u32 = 0x24;
const BASEADDR: u32 = 0x34;
const CHID: u32 = 0x3F;
const CHCTRLA: u32 = 0x40;
const CHCTRLB: u32 = 0x44;
const CHINTENCLR: u32 = 0x4C;
const CHINTENSET: u32 = 0x4D;
const CHINTFLAG: u32 = 0x4E;

const CHANNELS: usize = 12;
const ENABLE: u32 = 2;
const COMPLETE: u8 = 2;
/// Bits of a descriptor's control word: the addresses go up.
const SOURCE_INCREMENTS: u32 = 1 << 10;
const TARGET_INCREMENTS: u32 = 1 << 11;

#[derive(Clone, Copy, Default)]
struct Channel {
    control_a: u32,
    control_b: u32,
    interrupts: u8,
    flags: u8,
    descriptor: u32,
    left: u32,
    source: u32,
    target: u32,
}

impl Channel {
    fn enabled(&self) -> bool {
        self.control_a & ENABLE != 0
    }

    fn trigger(&self) -> u8 {
        (self.control_b >> 8 & 0x3F) as u8
    }
}

/// A byte that moves.
pub(super) struct Beat {
    pub(super) source: u32,
    pub(super) target: u32,
}

#[derive(Default)]
pub(super) struct Dma {
    registers: Registers,
    channels: [Channel; CHANNELS],
}

impl Dma {
    fn selected(&self) -> usize {
        self.registers.get(CHID, 1) as usize % CHANNELS
    }

    fn pending(&self) -> impl Iterator<Item = (u32, &Channel)> {
        (0..).zip(&self.channels).filter(|(_, channel)| channel.flags & channel.interrupts != 0)
    }

    pub(super) fn interrupts(&self) -> bool {
        self.pending().next().is_some()
    }

    pub(super) fn load(&self, offset: u32, size: u32) -> u32 {
        let channel = &self.channels[self.selected()];
        match offset {
            CHCTRLA => channel.control_a,
            CHCTRLB => channel.control_b,
            CHINTENCLR | CHINTENSET => channel.interrupts.into(),
            CHINTFLAG => channel.flags.into(),
            INTPEND => self.pending().next().map_or(0, |(id, channel)| id | u32::from(channel.flags) << 8),
            INTSTATUS => self.pending().fold(0, |bits, (id, _)| bits | 1 << id),
            _ => self.registers.get(offset, size),
        }
    }

    /// Gives a channel that was enabled, and where its descriptor is.
    pub(super) fn store(&mut self, offset: u32, size: u32, value: u32) -> Option<(usize, u32)> {
        let selected = self.selected();
        let channel = &mut self.channels[selected];
        match offset {
            CHCTRLA if value & 1 != 0 => *channel = Channel::default(),
            CHCTRLA => {
                let began = value & ENABLE != 0 && !channel.enabled();
                channel.control_a = value;
                return began.then(|| (selected, self.registers.get(BASEADDR, 4) + 16 * selected as u32));
            }
            CHCTRLB => channel.control_b = value,
            CHINTENCLR => channel.interrupts &= !(value as u8),
            CHINTENSET => channel.interrupts |= value as u8,
            CHINTFLAG => channel.flags &= !(value as u8),
            INTPEND => self.channels[value as usize % 16 % CHANNELS].flags &= !((value >> 8) as u8),
            _ => self.registers.set(offset, size, value),
        }
        None
    }

    /// Takes over a descriptor, four words. An address that goes up is given by its end.
    pub(super) fn begin(&mut self, channel: usize, [control, source, target, _]: [u32; 4]) {
        let channel = &mut self.channels[channel];
        (channel.descriptor, channel.left) = (control, control >> 16);
        let first =
            |end: u32, increments| if control & increments != 0 { end - (control >> 16) } else { end };
        channel.source = first(source, SOURCE_INCREMENTS);
        channel.target = first(target, TARGET_INCREMENTS);
    }

    /// The next byte whose trigger is up. What was received comes first, so that there is room for the next byte.
    pub(super) fn next(&mut self, up: impl Fn(u8) -> bool) -> Option<Beat> {
        let asking = self.channels.iter_mut().filter(|channel| channel.enabled() && up(channel.trigger()));
        let channel = asking.min_by_key(|channel| channel.trigger())?;
        let beat = Beat { source: channel.source, target: channel.target };
        channel.source += u32::from(channel.descriptor & SOURCE_INCREMENTS != 0);
        channel.target += u32::from(channel.descriptor & TARGET_INCREMENTS != 0);
        channel.left = channel.left.wrapping_sub(1);
        if channel.left == 0 {
            channel.control_a &= !ENABLE;
            channel.flags |= COMPLETE;
        }
        Some(beat)
    }
}
