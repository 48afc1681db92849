//! The secure element: an ATECC608 on I2C, as the kits' firmware uses it.
//!
//! The protocol is the one of the ATECC608A summary data sheet (DS40001977) and of Microchip's open CryptoAuthLib. The factory's
//! configuration is confidential: which slots may be read and written is assumed, and so are the times of the commands.

use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use sha2::{Digest, Sha256};

use crate::Micros;

mod zones;

use zones::Zones;

/// The status bytes that an answer can consist of.
#[derive(Clone, Copy)]
enum Status {
    Success = 0x00,
    ParseError = 0x03,
    ExecutionError = 0x0F,
    AfterWake = 0x11,
    CrcError = 0xFF,
}

type Outcome = Result<Vec<u8>, Status>;

/// Opcodes.
const READ: u8 = 0x02;
const WRITE: u8 = 0x12;
const NONCE: u8 = 0x16;
const LOCK: u8 = 0x17;
const RANDOM: u8 = 0x1B;
const INFO: u8 = 0x30;
const GEN_KEY: u8 = 0x40;
const SIGN: u8 = 0x41;

/// What the Info command answers: an ATECC608A.
const REVISION: [u8; 4] = [0x00, 0x00, 0x60, 0x02];

/// How long a command takes, in microseconds. The element does not acknowledge its address meanwhile.
fn duration(opcode: u8) -> Micros {
    1000 * match opcode {
        GEN_KEY | SIGN => 100,
        RANDOM => 20,
        LOCK => 15,
        WRITE => 10,
        NONCE => 7,
        _ => 1,
    }
}

/// The check sum of packets: CRC-16 with polynomial 0x8005, bits from the least significant on.
fn crc(bytes: &[u8]) -> [u8; 2] {
    let mut crc = 0u16;
    for bit in bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 != 0)) {
        let divide = bit != (crc & 0x8000 != 0);
        crc <<= 1;
        if divide {
            crc ^= 0x8005;
        }
    }
    crc.to_le_bytes()
}

/// The element and its end of the bus.
pub(crate) struct SecureElement {
    /// I2C address, 7 bits.
    address: u8,
    key: SigningKey,
    pub(crate) zones: Zones,
    timed: bool,
    awake: bool,
    busy_until: Micros,
    /// Values of the Nonce command for the commands after it; idle keeps them, sleep does not.
    temp_key: Option<[u8; 32]>,
    message_digest: Option<[u8; 32]>,
    /// What is being written to the element.
    written: Option<Vec<u8>>,
    answer: Vec<u8>,
    position: usize,
    /// Random numbers given so far.
    drawn: u32,
}

impl SecureElement {
    /// The element at a 7-bit address. Without `timed`, commands take no time.
    pub(crate) fn new(address: u8, serial: [u8; 9], key: SigningKey, timed: bool) -> Self {
        Self {
            address,
            key,
            zones: Zones::new(address, serial),
            timed,
            awake: false,
            busy_until: 0,
            temp_key: None,
            message_digest: None,
            written: None,
            answer: Vec::new(),
            position: 0,
            drawn: 0,
        }
    }

    /// A start condition and an address byte; true if the element acknowledges.
    pub(crate) fn start(&mut self, now: Micros, address: u8, reads: bool) -> bool {
        // The wake condition is SDA held low: an address of zeros. Nothing acknowledges it.
        if address == 0 {
            if !self.awake {
                self.awake = true;
                self.reply(&[Status::AfterWake as u8]);
            }
            return false;
        }
        let answers = address == self.address && self.awake && now >= self.busy_until;
        if answers && !reads {
            self.written = Some(Vec::new());
        }
        answers
    }

    /// The next byte to the element; true if it acknowledges.
    pub(crate) fn write(&mut self, byte: u8) -> bool {
        if let Some(written) = &mut self.written {
            written.push(byte);
        }
        self.written.is_some()
    }

    /// The next byte of the answer.
    pub(crate) fn read(&mut self) -> u8 {
        let byte = self.answer.get(self.position).copied();
        self.position += usize::from(byte.is_some());
        byte.unwrap_or(0xFF)
    }

    /// A stop condition, or the start condition of the next transfer.
    pub(crate) fn stop(&mut self, now: Micros) {
        let Some(written) = self.written.take() else { return };
        match written.as_slice() {
            // Word addresses: reset of the read position, sleep, idle, command.
            [0, ..] => self.position = 0,
            [1, ..] => {
                (self.temp_key, self.message_digest) = (None, None);
                self.doze();
            }
            [2, ..] => self.doze(),
            [3, packet @ ..] => {
                let (opcode, outcome) = self.execute(packet);
                self.busy_until = if self.timed { now + duration(opcode) } else { now };
                match outcome {
                    Ok(data) => self.reply(&data),
                    Err(status) => self.reply(&[status as u8]),
                }
            }
            _ => {}
        }
    }

    fn doze(&mut self) {
        (self.awake, self.position) = (false, 0);
        self.answer.clear();
    }

    fn reply(&mut self, data: &[u8]) {
        self.answer = vec![data.len() as u8 + 3];
        self.answer.extend(data);
        self.answer.extend(crc(&self.answer));
        self.position = 0;
    }

    /// A packet: its length, opcode, two parameters, data, and check sum.
    fn execute(&mut self, packet: &[u8]) -> (u8, Outcome) {
        let [length, opcode, p1, p2, p2_high, data @ .., _, _] = packet else {
            return (0, Err(Status::CrcError));
        };
        let (body, sum) = packet.split_at(packet.len() - 2);
        if usize::from(*length) != packet.len() || crc(body) != sum {
            return (0, Err(Status::CrcError));
        }
        let (p1, p2) = (*p1, u16::from_le_bytes([*p2, *p2_high]));
        let outcome = match *opcode {
            READ => self.zones.read(p1, p2),
            WRITE => self.zones.write(p1, p2, data),
            LOCK => self.zones.lock(p1),
            NONCE => self.nonce(p1, data),
            RANDOM => Ok(self.random().to_vec()),
            INFO => Ok(REVISION.to_vec()),
            // Bit 2 asks for a new private key, which the slot's configuration does not allow.
            GEN_KEY if p1 & 4 != 0 || p2 != 0 => Err(Status::ExecutionError),
            GEN_KEY => Ok(self.public_key().to_vec()),
            SIGN => self.sign(p1, p2),
            _ => Err(Status::ParseError),
        };
        (*opcode, outcome)
    }

    fn random(&mut self) -> [u8; 32] {
        self.drawn += 1;
        Sha256::new()
            .chain_update(self.zones.serial())
            .chain_update(self.drawn.to_le_bytes())
            .finalize()
            .into()
    }

    /// Pass-through alone: the host gives the value, for TempKey or for the message digest buffer.
    fn nonce(&mut self, mode: u8, data: &[u8]) -> Outcome {
        let value = data.get(..32).filter(|_| mode & 3 == 3).and_then(|data| data.try_into().ok());
        let value = Some(value.ok_or(Status::ParseError)?);
        *if mode >> 6 == 1 { &mut self.message_digest } else { &mut self.temp_key } = value;
        Ok(vec![Status::Success as u8])
    }

    /// X‖Y of the key in slot 0.
    pub(crate) fn public_key(&self) -> [u8; 64] {
        let point = self.key.verifying_key().to_sec1_point(false);
        let mut coordinates = [0; 64];
        coordinates.copy_from_slice(&point.as_bytes()[1..]);
        coordinates
    }

    /// Signs a digest that the host gave. The nonce of the signature is the one of RFC 6979, so that it can be repeated.
    fn sign(&self, mode: u8, slot: u16) -> Outcome {
        let digest = if mode & 0x20 != 0 { self.message_digest } else { self.temp_key };
        let digest = digest.filter(|_| slot == 0 && mode & 0x80 != 0).ok_or(Status::ExecutionError)?;
        let signature: Signature = self.key.sign_prehash(&digest).map_err(|_| Status::ExecutionError)?;
        Ok(signature.to_bytes().to_vec())
    }
}
