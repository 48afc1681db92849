//! Pages of a list. The marker is the key of the last entry, so that deleting between two pages skips nothing.

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

/// Cuts the page asked for out of `entries`, whose keys are unique.
pub fn paginate<T>(
    entries: impl IntoIterator<Item = (String, T)>,
    request: &PageRequest,
) -> Result<Page<T>, Error> {
    let size = request.size.unwrap_or(DEFAULT_SIZE);
    if !(1..=LARGEST_SIZE).contains(&size) {
        return Err(Error::InvalidRequest {
            reason: format!("page size {size} is not between 1 and {LARGEST_SIZE}"),
        });
    }
    let mut entries: Vec<_> = entries.into_iter().collect();
    entries.sort_by(|(a, _), (b, _)| if request.descending { b.cmp(a) } else { a.cmp(b) });
    if let Some(marker) = &request.marker {
        let key = hex::decode(marker).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let Some(key) = key else {
            return Err(Error::InvalidRequest { reason: format!("marker {marker:?} is not one of ours") });
        };
        entries.retain(|(k, _)| if request.descending { *k < key } else { *k > key });
    }
    let more = entries.len() > size;
    entries.truncate(size);
    let next = more.then(|| entries.last().map(|(key, _)| hex::encode(key))).flatten();
    Ok(Page { items: entries.into_iter().map(|(_, item)| item).collect(), next })
}
