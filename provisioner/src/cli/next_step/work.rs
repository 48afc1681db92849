//! Work on boards: one, or many.

use super::{Text, account, files, kit, pki, state};
use crate::work::{self, AuthorityError, FleetError, provision};

/// What to do about a failure of the work.
pub(super) fn work(error: &work::Error) -> Text {
    use work::Error as E;
    match error {
        E::File(error) => files::files(error),
        E::Pki(error) => pki::pki(error),
        E::State(error) => state::state(error),
        E::Kit(error) => kit::kit(error),
        E::Account(error) => account::account(error),
        E::Authority(error) => authority(error),
        E::Provision(error) => provision(error),
        E::Fleet(error) => fleet(error),
    }
}

fn authority(error: &AuthorityError) -> Text {
    use AuthorityError as E;
    match error {
        E::OtherKey { .. } => "make a certificate authority with the other key in another folder: provisioner --home DIR ca create".into(),
        E::OtherIssuer { .. } => "have the owner of that CA revoke the signer's certificate and publish the list; the lists of the signers are written".into(),
        E::RootElsewhere { .. } => "there is nothing to export".into(),
        E::ListNumber { .. } => "this tool makes no such list: check it with `provisioner audit verify`, and put the last one of yours back".into(),
        E::ExportPlace { .. } => "name a folder on another medium, such as an encrypted USB stick".into(),
        E::KeyStays { .. } => "let the home folder be written to and run the same command again, which goes on with this copy; or delete the copy".into(),
        E::NextKey { .. } => "name it with --signer-key URI: `awskms:` makes a key in AWS KMS, `pkcs11:…;object=NAME` one in a token; file:PATH is a file, encrypted if the old one is".into(),
        E::SameKey { .. } | E::RevokedKey { .. } => "name another place with --signer-key; a new key is made there".into(),
        E::NotEncrypted { .. } => "encrypt it with: provisioner ca encrypt".into(),
    }
}

fn provision(error: &provision::Error) -> Text {
    use provision::Error as E;
    match error {
        E::Endpoint { .. } => "an endpoint is a host name such as a1b2c3d4e5f6g7-ats.iot.eu-west-1.amazonaws.com, without https:// and port".into(),
        E::Store(..) => "have the signer CA's certificate issued with a shorter name, or make a CA with shorter names in another folder: provisioner --home DIR ca create --org NAME".into(),
        E::ReadBack { .. } => "run again; if it happens again, the board's Wi-Fi module is faulty".into(),
        E::Factory(error) => pki::factory(error),
        E::Possession { .. } => "run again; if it happens again, put the board aside: it shows the key of another one, or its secure element is faulty".into(),
        E::NotGenuine { .. } => "put the board aside. If its vendor's root is another one, name the root's certificate with --vendor-root FILE".into(),
        E::NoSigner { .. } => "append the signer's certificate to the file, or name its file with --signer FILE".into(),
        E::NotValidNow { .. } => "check this computer's clock; if it is right, have the certificate issued anew".into(),
        E::ForeignKey { .. } => "make a request on this board and have that one signed: provisioner provision --csr-only".into(),
        E::KeyRevoked { reason, .. } if reason.is_final() => "somebody else may have this key, so it gets no certificate again: replace the board or its secure element".into(),
        E::KeyRevoked { .. } => "leave the board out of use; or issue a new certificate all the same with --force".into(),
        E::CertificateRevoked { .. } => "have another certificate issued for the board: provisioner provision --csr-only".into(),
        E::RevokedInAccount { .. } => "a revoked certificate never gets in again: leave the board out of use; or give it a new one with --force, or where a CA elsewhere signs, with --csr-only".into(),
        E::Inconsistent => "run again; if it happens again, please report it".into(),
        E::NoChain => "make one with: provisioner ca create".into(),
    }
}

fn fleet(error: &FleetError) -> Text {
    use FleetError as E;
    match error {
        E::Aborted { .. } => "run again: boards that were not finished are completed then".into(),
        E::Thread { .. } => {
            "the system is short of threads or memory; free some, or take fewer boards at a time".into()
        }
    }
}
