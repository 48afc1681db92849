//! Work on boards: one, or many.

use super::{Text, account, files, kit, pki, state};
use crate::work::{self, AuthorityError, FleetError, firmware, provision, roots};
use iot_kit::catalogue::PACKAGE;

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
        E::Firmware(error) => firmware(error),
        E::Fleet(error) => fleet(error),
        E::Roots(error) => roots(error),
    }
}

fn authority(error: &AuthorityError) -> Text {
    use AuthorityError as E;
    match error {
        E::OtherKey { .. } => "make a certificate authority with the other key in another folder: provisioner --home DIR ca create".into(),
        E::OtherIssuer { .. } => "have the owner of that CA revoke the signer's certificate and publish the list; the lists of the signers are written".into(),
        E::RootElsewhere { .. } => "there is nothing to export".into(),
        E::AdmissionKeyOfCa { .. } => "name another place, where a key can be made, with --admission-key: whoever has a signer CA's key could otherwise admit boards as well".into(),
        E::NoAdmissionKey { .. } => "say where the key is with --admission-key; a new key takes another place for its list, named with --to, and `provisioner setup --admission-list`".into(),
        E::NoAdmissionPlace => "name it with --to: s3://BUCKET/PREFIX, or a folder for a web server or the function's package; the function is told with `provisioner setup --admission-list`".into(),
        E::AdmissionElsewhere { .. } => "write the list into a folder with --to DIR, and put it there".into(),
        E::ListNumber { .. } => "this tool makes no such list: check it with `provisioner audit verify`, and put the last one of yours back".into(),
        E::ExportPlace { .. } => "name a folder on another medium, such as an encrypted USB stick".into(),
        E::KeyStays { .. } => "let the home folder be written to and run the same command again, which goes on with this copy; or delete the copy".into(),
        E::NextKey { .. } => "name it with --signer-key URI: `awskms:` makes a key in AWS KMS, `pkcs11:…;object=NAME` one in a token; file:PATH is a file, encrypted if the old one is".into(),
        E::SameKey { .. } | E::RevokedKey { .. } => "name another place with --signer-key; a new key is made there".into(),
        E::NotEncrypted { .. } => "encrypt it with: provisioner ca encrypt".into(),
    }
}

fn firmware(error: &firmware::Error) -> Text {
    use firmware::Error as E;
    match error {
        E::NotPinned { .. } => "it may be damaged, or another version: take it away and run provisioner firmware fetch; another program is put into a kit with -p and --app".into(),
        E::Missing { .. } => "get it with: provisioner firmware fetch".into(),
        E::NotAWheel { .. } | E::Lacks { .. } => format!("name the file {}", PACKAGE.wheel).into(),
        E::NoPython | E::Pip { .. } | E::NoWheel => format!(
            "have the wheel downloaded where there is a network (pip download --no-deps {}=={}), bring it here, and run: \
             provisioner firmware fetch --wheel {}",
            PACKAGE.name, PACKAGE.version, PACKAGE.wheel
        )
        .into(),
        E::Unknown { .. } => "see the names with: provisioner firmware list".into(),
        E::NoImage { .. } => "name one with --app HEX".into(),
        E::NoApplication { .. } => "name one with --app HEX, or leave --ssid out and set the network later: provisioner wifi --ssid NAME; nothing was done".into(),
        E::LongEndpoint { .. } => "name an application of yours with --app HEX, or leave the kit without one: --no-application; nothing was done".into(),
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

fn roots(error: &roots::Error) -> Text {
    use roots::Error as E;
    match error {
        E::Store { source: iot_kit::root_store::Error::Size(_), .. } => "leave roots out: leave --keep out, or put fewer certificates into the folder".into(),
        E::Store { .. } => "put Amazon's roots into the board: provisioner roots install; or name a store that is whole with: provisioner roots restore --file FILE".into(),
        E::Key { .. } | E::NotCa { .. } => "leave the certificate out of the folder; the board was not changed".into(),
        E::NoAmazonRoot { .. } => "add them to Amazon's: provisioner roots install, and then again with --from FOLDER --keep; or install them alone with --force. The board was not changed".into(),
        E::NoCopy { there, .. } if !there.is_empty() => {
            let there: Vec<_> = there.iter().map(ToString::to_string).collect();
            format!("these are there: {}", there.join(", ")).into()
        }
        E::NoCopy { .. } => "it was not replaced from this home folder; put Amazon's roots into the board: provisioner roots install; or name a store with --file FILE".into(),
        E::Unsteady { .. } => "check the USB cable and hub, and close programs that may use the port; then run again".into(),
        E::ReadBack { restored: true, .. } => "run again; if it happens again, the board's Wi-Fi module is faulty".into(),
        E::ReadBack { restored: false, .. } => "run again; the old content is in the board's folder: provisioner roots restore; if it happens again, the board's Wi-Fi module is faulty".into(),
    }
}
