//! Which certificates of several are the root and the signer in use: files hold what was renewed beside what it replaces.

use std::cmp::Reverse;

use time::OffsetDateTime;

use super::{Names, allowed, check_root};
use crate::{Certificate, PUBLIC_KEY_SIZE};

/// What nobody reads: the certificates are chosen by whether they are refused.
const UNNAMED: Names = Names { root: "", signer: "" };

/// The root and the signer among the certificates of their files, which may be there in any order, with CAs between the two.
/// `points` are the signer's keys, where they are known.
///
/// The root has signed itself, the signer is a CA that has signed no other of its file and has one of the keys. Of several, those
/// count whose chain is allowed at `now`, then those that are valid, then those that end last.
pub fn select<'a>(
    roots: &'a [Certificate],
    signers: &'a [Certificate],
    points: &[[u8; PUBLIC_KEY_SIZE]],
    now: OffsetDateTime,
) -> (Option<&'a Certificate>, Option<&'a Certificate>) {
    let has_signed_itself = |one: &&Certificate| one.is_signed_by(one);
    let own_roots = candidates(roots, &[&has_signed_itself], now);
    let has_key = |one: &&Certificate| one.point().is_some_and(|point| points.contains(&point));
    let signs_none =
        |one: &&Certificate| !signers.iter().any(|other| other != *one && other.is_signed_by(one));
    let is_ca = |one: &&Certificate| one.is_ca();
    let own_signers = candidates(signers, &[&has_key, &is_ca, &signs_none], now);
    let first = (own_roots.first().copied(), own_signers.first().copied());
    if own_roots.len() < 2 && own_signers.len() < 2 {
        return first;
    }
    let others: Vec<Certificate> = roots.iter().chain(signers).cloned().collect();
    let pairs = own_signers.iter().flat_map(|signer| own_roots.iter().map(move |root| (*root, *signer)));
    let is_allowed = |(root, signer): &(&Certificate, &Certificate)| {
        check_root(root, UNNAMED.root).is_ok() && allowed(root, &others, signer, UNNAMED, now).is_ok()
    };
    let found = { pairs }.find(is_allowed);
    found.map_or(first, |(root, signer)| (Some(root), Some(signer)))
}

/// What a certificate can be told by.
type Sign<'s> = &'s dyn Fn(&&Certificate) -> bool;

/// The certificates with these signs, the best first. A sign that none of those left has counts for none.
fn candidates<'a>(all: &'a [Certificate], signs: &[Sign<'_>], now: OffsetDateTime) -> Vec<&'a Certificate> {
    let mut candidates: Vec<&Certificate> = all.iter().collect();
    for sign in signs.iter().filter(|_| all.len() > 1) {
        if candidates.iter().any(sign) {
            candidates.retain(|one| sign(one));
        }
    }
    candidates.sort_by_key(|one| Reverse((one.is_valid_at(now), one.facts().not_after)));
    candidates
}
