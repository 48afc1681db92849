//! What the commands with a blob do, once it is there.

use super::super::command::{Command, Failure, Request};
use super::{Firmware, Work, page, slot};

/// What is printed and the work that it costs, or the failure and what is printed before it.
type Answer = Result<(Vec<Work>, Vec<u8>), (Failure, Vec<u8>)>;

impl Firmware {
    /// Carries out a command with its blob. What the firmware prints before an error is given with it.
    pub(super) fn blob(&mut self, request: &Request, digits: &[u8]) -> Answer {
        if request.command == Command::BlobTest {
            return Ok((Vec::new(), digits.to_vec()));
        }
        let silent = |failure| (failure, Vec::new());
        let blob = decode(digits);
        if request.command == Command::EccSignDigest {
            request.expect(2..=2).map_err(silent)?;
            // The blob is decoded in its place, and printed as it then is.
            let printed = [&blob, digits.get(blob.len()..).unwrap_or_default()].concat();
            let digest =
                <&[u8; 32]>::try_from(blob.as_slice()).map_err(|_| (Failure::BadArgument, printed))?;
            let element = self.element().map_err(silent)?;
            let signature = element.sign_digest(digest).map_err(|refusal| silent(refusal.into()))?;
            return Ok((vec![Work::Sign], hex::encode_upper(signature).into_bytes()));
        }
        self.store(request, &blob).map(|work| (work, Vec::new())).map_err(silent)
    }

    fn store(&mut self, request: &Request, blob: &[u8]) -> Result<Vec<Work>, Failure> {
        let announced = |size: usize| if size == blob.len() { Ok(()) } else { Err(Failure::BadArgument) };
        match request.command {
            Command::EccWriteBlob => {
                request.expect(3..=3)?;
                let slot = slot(request, 0)?;
                announced(request.size(1)?)?;
                self.element()?.write(slot, blob)?;
                Ok(Vec::new())
            }
            Command::EccPubKeyWrite => {
                request.expect(2..=2)?;
                let slot = slot(request, 0)?;
                let key = <&[u8; 64]>::try_from(blob).map_err(|_| Failure::BadArgument)?;
                self.element()?.store_public_key(slot, key)?;
                Ok(Vec::new())
            }
            Command::WincWriteBlob => {
                request.expect(3..=3)?;
                let address = request.number(0)?;
                announced(page(request.size(1)?)?)?;
                self.module()?;
                let mut work = self.access_flash(true);
                work.push(Work::Program);
                self.flash.program(address as u32 as usize, blob);
                Ok(work)
            }
            _ => Err(Failure::UnknownCommand),
        }
    }
}

/// Pairs of hex digits as bytes; what is no digit counts as 0.
fn decode(digits: &[u8]) -> Vec<u8> {
    let value = |digit: &u8| char::from(*digit).to_digit(16).unwrap_or(0) as u8;
    digits.chunks_exact(2).map(|pair| value(&pair[0]) << 4 | value(&pair[1])).collect()
}
