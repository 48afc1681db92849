//! Work on boards: one, or many.

use super::Text;
use crate::{line, provision};

pub(super) fn provision(error: &provision::Error) -> Text {
    use provision::Error as E;
    match error {
        E::Endpoint { .. } => "an endpoint is a host name such as a1b2c3d4e5f6g7-ats.iot.eu-west-1.amazonaws.com, without https:// and port".into(),
        E::Store(..) => "make a certificate authority with shorter names: provisioner ca create --force --org NAME".into(),
        E::ReadBack { .. } => "run again; if it happens again, the board's Wi-Fi module is faulty".into(),
        E::Factory(error) => super::pki::factory(error),
        E::NoSigner { .. } => "append the signer's certificate to the file, or name its file with --signer FILE".into(),
        E::NotValidNow { .. } => "check this machine's clock; if it is right, have the certificate issued anew".into(),
        E::ForeignKey { .. } => "make a request on this board and have that one signed: provisioner provision --csr-only".into(),
        E::Inconsistent => "run again; if it happens again, please report it".into(),
    }
}

pub(super) fn line(error: &line::Error) -> Text {
    use line::Error as E;
    match error {
        E::Aborted { .. } => "run again: boards half done are completed then".into(),
        E::Thread { .. } => {
            "the system is short of threads or memory; free some, or take fewer boards at a time".into()
        }
    }
}
