//! Pages of a list. The marker is the key of the last entry, so that deleting between two pages skips nothing, and a page costs no
//! more than the entries on it.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::Error;

/// Entries on a page that asks for no number, as in AWS: few enough that a reader of one page alone is found out.
const DEFAULT_SIZE: usize = 25;
/// The most entries that can be asked for.
const LARGEST_SIZE: usize = 250;

/// Which page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// Entries on the page, 1 to 250.
    pub size: Option<usize>,
    /// The `marker` or `nextToken` of the page before.
    pub marker: Option<String>,
    /// From the last entry to the first.
    pub descending: bool,
}

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// What asks for the next page, if there is one.
    pub next: Option<String>,
}

/// Cuts the page asked for out of the entries of `map` that `wanted` makes something of.
pub fn paginate<'a, V, T>(
    map: &'a BTreeMap<String, V>,
    request: &PageRequest,
    wanted: impl Fn(&'a str, &'a V) -> Option<T>,
) -> Result<Page<T>, Error> {
    let size = request.size.unwrap_or(DEFAULT_SIZE);
    if !(1..=LARGEST_SIZE).contains(&size) {
        return Err(Error::InvalidRequest {
            reason: format!("page size {size} is not between 1 and {LARGEST_SIZE}"),
        });
    }
    let after = request.marker.as_ref().map(|marker| {
        let key = hex::decode(marker).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        key.ok_or_else(|| Error::InvalidRequest { reason: format!("marker {marker:?} is not one of ours") })
    });
    let after = after.transpose()?.map_or(Bound::Unbounded, Bound::Excluded);
    let entries: Box<dyn Iterator<Item = (&'a String, &'a V)>> = match request.descending {
        false => Box::new(map.range((after, Bound::Unbounded))),
        true => Box::new(map.range((Bound::Unbounded, after)).rev()),
    };
    let mut entries = entries.filter_map(|(key, value)| Some((key, wanted(key, value)?)));
    let (mut items, mut last) = (Vec::new(), None);
    for (key, item) in entries.by_ref().take(size) {
        items.push(item);
        last = Some(key);
    }
    let next = last.filter(|_| entries.next().is_some()).map(hex::encode);
    Ok(Page { items, next })
}
