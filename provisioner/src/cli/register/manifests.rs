//! Elements of secure-element manifests, one after the other: a manifest can be too long to be held.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use device_pki::Certificate;
use device_pki::manifest::{Element, Refusal, Signers};
use iot_account::counted;
use iot_account::register::{Candidate, Item, Row};
use time::OffsetDateTime;

use super::sources::Outside;
use crate::cli::Error;
use crate::cli::manifest::{self, Manifest, SIGNER_CURE};

const NO_CERTIFICATE: &str = "the manifest has no certificate for the key of this element";
const NO_KEY_CURE: &str = "a manifest without keys registers nothing. Boards of a signer CA are registered at their first \
    connection; other certificates with: provisioner register --dir DIR";

/// Manifests whose elements are to be registered. They are read twice: what is wrong shows before anything is done, and no
/// certificate is held meanwhile.
#[derive(Default)]
pub(super) struct Manifests {
    files: Vec<Manifest>,
    signers: Signers,
    /// Where each certificate was found first, by its SHA-256.
    first: HashMap<[u8; 32], Place>,
    /// How many rows there are, those of duplicates left out.
    rows: usize,
    /// How many certificates there are to register.
    certificates: usize,
    /// Why certificates are not let in that were revoked, or whose key was, by their SHA-256.
    revoked: HashMap<[u8; 32], String>,
    /// Those that are not valid now.
    outside: Outside,
    /// What helps, and for how many elements.
    cures: BTreeMap<&'static str, usize>,
}

#[derive(Clone, PartialEq, Eq)]
enum Place {
    /// A file with certificates.
    File(String),
    /// An element: the manifest's index, and the number in it.
    Element(usize, u64),
}

/// What a manifest has at one place.
enum Found {
    Candidate(Place, Candidate),
    /// Nothing that can be registered, and what helps.
    Nothing(Row, Option<&'static str>),
}

impl Manifests {
    /// Opens the manifests, of Microchip's signers and of those whose certificates are named.
    ///
    /// # Errors
    /// [`Error::Named`] for a manifest that is not there or is no regular file; [`Error::File`] for a certificate that no
    /// manifest signer can have; as [`manifest::signers`].
    pub(super) fn open(manifests: &[PathBuf], signers: &[PathBuf]) -> Result<Self, Error> {
        let signers = manifest::signers(signers)?;
        let files = manifests.iter().map(|path| Manifest::open(path)).collect::<Result<_, _>>()?;
        Ok(Self { files, signers, ..Self::default() })
    }

    /// Reads them for the first time: which certificates they have, and what is wrong. `elsewhere` are certificates that are
    /// registered from files: id and file. `against` says why a certificate is not to be let in that was revoked. `count` is called
    /// with the number of the rows so far.
    ///
    /// # Errors
    /// Those of `against`.
    pub(super) fn survey<'a>(
        &mut self,
        elsewhere: impl Iterator<Item = (&'a String, &'a String)>,
        against: impl Fn(&Certificate) -> Result<Option<String>, Error>,
        now: OffsetDateTime,
        mut count: impl FnMut(usize),
    ) -> Result<(), Error> {
        let of_file = |(id, file): (&String, &String)| Some((digest(id)?, Place::File(file.clone())));
        let (mut first, mut rows, mut certificates): (HashMap<_, _>, _, _) =
            (elsewhere.filter_map(of_file).collect(), 0, 0);
        let (mut revoked, mut outside, mut cures) = (HashMap::new(), Outside::default(), BTreeMap::new());
        for found in self.found() {
            match found {
                Found::Candidate(place, candidate) => {
                    let Some(id) = digest(&candidate.certificate.facts().certificate_id) else { continue };
                    if first.contains_key(&id) {
                        continue;
                    }
                    first.insert(id, place);
                    match against(&candidate.certificate)? {
                        Some(why) => drop(revoked.insert(id, why)),
                        None => {
                            certificates += 1;
                            outside.look_at(&candidate, now);
                        }
                    }
                }
                Found::Nothing(_, cure) => {
                    cure.into_iter().for_each(|cure| *cures.entry(cure).or_default() += 1)
                }
            }
            rows += 1;
            count(rows);
        }
        (self.first, self.rows, self.certificates) = (first, rows, certificates);
        (self.revoked, self.outside, self.cures) = (revoked, outside, cures);
        Ok(())
    }

    /// How many rows there are, those of duplicates left out.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// How many certificates there are to register.
    pub(super) fn certificates(&self) -> usize {
        self.certificates
    }

    /// How many there are that were revoked, or whose key was.
    pub(super) fn revoked(&self) -> usize {
        self.revoked.len()
    }

    /// What there is to say of all of them together.
    pub(super) fn advice(&self) -> impl Iterator<Item = String> {
        let help =
            |(cure, elements): (&&str, &usize)| format!("help for {}: {cure}", counted(*elements, "element"));
        self.outside.advice().into_iter().chain(self.cures.iter().map(help))
    }

    /// The ids of the certificates, also of those from files.
    pub(super) fn ids(&self) -> impl Iterator<Item = String> {
        self.first.keys().map(hex::encode)
    }

    /// Whether the certificate with this id is among them, or from a file, and was not revoked.
    pub(super) fn has(&self, id: &str) -> bool {
        digest(id).is_some_and(|id| self.first.contains_key(&id) && !self.revoked.contains_key(&id))
    }

    /// Reads them again: a certificate to register, or a row on what is none.
    pub(super) fn items(&self) -> impl Iterator<Item = Item> {
        self.found().map(|found| match found {
            Found::Nothing(row, _) => Item::Row(row),
            Found::Candidate(place, candidate) => self.admitted(place, candidate),
        })
    }

    /// A candidate, unless an earlier place has it, or it was revoked.
    fn admitted(&self, place: Place, candidate: Candidate) -> Item {
        let id = candidate.certificate.facts().certificate_id.clone();
        let Some(bytes) = digest(&id) else { return Item::Candidate(candidate) };
        let row = match (self.first.get(&bytes), self.revoked.get(&bytes)) {
            (Some(first), _) if *first != place => Row::duplicate(candidate.source, id, self.name(first)),
            (_, Some(why)) => Row::refused(candidate.source, Some(id), why.clone()),
            _ => return Item::Candidate(candidate),
        };
        Item::Row(row.with_unique_id(candidate.unique_id))
    }

    fn name(&self, place: &Place) -> String {
        match place {
            Place::File(file) => file.clone(),
            Place::Element(index, number) => {
                self.files.get(*index).map_or_else(String::new, |manifest| manifest.place(*number))
            }
        }
    }

    fn found(&self) -> impl Iterator<Item = Found> {
        let files = self.files.iter().enumerate();
        files.flat_map(|(index, manifest)| {
            manifest.elements(&self.signers).map(move |read| match read {
                Ok(element) => found(manifest, index, element),
                Err(why) => {
                    Found::Nothing(Row::refused(manifest.source.clone(), None, why.to_string()), None)
                }
            })
        })
    }
}

/// What an element of the manifest with this index is.
fn found(manifest: &Manifest, index: usize, element: Element) -> Found {
    let Element { number, claimed_id, content } = element;
    let source = manifest.place(number);
    let (error, cure) = match content {
        Ok(verified) => match verified.certificate {
            Some(certificate) => {
                let unique_id = Some(verified.unique_id);
                let candidate = Candidate { source, certificate, unique_id };
                return Found::Candidate(Place::Element(index, number), candidate);
            }
            None => (NO_CERTIFICATE.to_owned(), None),
        },
        Err(refusal) => {
            let cure = match &refusal {
                Refusal::UnknownSigner { .. } => Some(SIGNER_CURE),
                Refusal::NoKey => Some(NO_KEY_CURE),
                _ => None,
            };
            (refusal.to_string(), cure)
        }
    };
    Found::Nothing(Row::refused(source, None, error).with_unique_id(claimed_id), cure)
}

/// The bytes of a certificate's id.
fn digest(id: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(id, &mut digest).ok().map(|()| digest)
}
