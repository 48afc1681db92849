//! What fuzzing has found so far, once more: every input of the corpus in `fuzz/seeds` against the property of its target.

use std::path::PathBuf;

use arbitrary::{Arbitrary, Unstructured};

#[path = "../../fuzz/properties/admission_list.rs"]
mod admission_list;
#[path = "../../fuzz/archive.rs"]
mod archive;
#[path = "../../fuzz/properties/certificate.rs"]
mod certificate;
#[path = "../../fuzz/properties/codec.rs"]
mod codec;
#[path = "../../fuzz/properties/event.rs"]
mod event;
#[path = "../../fuzz/properties/factory.rs"]
mod factory;
#[path = "../../fuzz/properties/intel_hex.rs"]
mod intel_hex;
#[path = "../../fuzz/properties/key.rs"]
mod key;
#[path = "../../fuzz/properties/kit_info.rs"]
mod kit_info;
#[path = "../../fuzz/properties/manifest.rs"]
mod manifest;
#[path = "../../fuzz/properties/policy.rs"]
mod policy;
#[path = "../../fuzz/properties/records.rs"]
mod records;
#[path = "../../fuzz/properties/revocation_list.rs"]
mod revocation_list;
#[path = "../../fuzz/properties/root_store.rs"]
mod root_store;
#[path = "../../fuzz/properties/store.rs"]
mod store;

const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds");

/// What libFuzzer makes of an input's bytes, for a target with this type of input.
fn check<'a, T: Arbitrary<'a>>(bytes: &'a [u8], property: fn(T)) {
    if bytes.len() < T::size_hint(0).0 {
        return;
    }
    if let Ok(input) = T::arbitrary_take_rest(Unstructured::new(bytes)) {
        property(input);
    }
}

fn check_for(target: &str, bytes: &[u8]) {
    match target {
        "admission_list" => check(bytes, admission_list::check),
        "certificate" => check(bytes, certificate::check),
        "codec" => check(bytes, codec::check),
        "event" => check(bytes, event::check),
        "factory" => check(bytes, factory::check),
        "intel_hex" => check(bytes, intel_hex::check),
        "key" => check(bytes, key::check),
        "kit_info" => check(bytes, kit_info::check),
        "manifest" => check(bytes, manifest::check),
        "policy" => check(bytes, policy::check),
        "records" => check(bytes, records::check),
        "revocation_list" => check(bytes, revocation_list::check),
        "root_store" => check(bytes, root_store::check),
        "store" => check(bytes, store::check),
        other => panic!("no property for the seeds of {other}"),
    }
}

/// The archives of the corpus, one a target.
fn archives() -> Vec<PathBuf> {
    std::fs::read_dir(SEEDS).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn every_input_of_the_corpus_keeps_the_property_of_its_target() {
    let mut inputs = 0;
    for archive in archives() {
        let target = archive.file_stem().unwrap().to_str().unwrap();
        for (name, bytes) in archive::read(&archive).unwrap() {
            if std::panic::catch_unwind(|| check_for(target, &bytes)).is_err() {
                panic!("see above; the input is {name} in {}", archive.display());
            }
            inputs += 1;
        }
    }
    assert!(inputs > 1000, "only {inputs} inputs");
}

/// So fuzzing that found nothing leaves the archives as they are.
#[test]
fn an_archive_that_is_unpacked_and_packed_again_has_the_same_bytes() {
    for archive in archives() {
        let folder = tempfile::tempdir().unwrap();
        archive::unpack(&archive, folder.path()).unwrap();
        let packed = archive::pack(&archive::gather(folder.path()).unwrap()).unwrap();
        assert!(packed == std::fs::read(&archive).unwrap(), "{}", archive.display());
    }
}
