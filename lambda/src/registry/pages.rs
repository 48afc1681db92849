//! Lists of AWS, page by page. They end, even if each page names a further one.

use std::future::Future;

/// A list has at most so many pages: with the smallest page of AWS IoT (25 items), 2.5 million items.
const MOST_PAGES: usize = 100_000;
/// AWS may send pages without items (IAM User Guide, "Paginating the results"), but not so many one after the other.
const MOST_EMPTY_PAGES: usize = 1_000;

/// A list that was not read to its end.
#[derive(Debug)]
pub enum Unread<E> {
    /// A page could not be had.
    Call(E),
    /// Each page names a further one: after so many, the list counts as endless. Or the last of so many names itself.
    Endless(usize),
}

/// How far a list is read.
#[derive(Debug, Default)]
pub struct Place {
    /// What names the next page; nothing before the first one.
    marker: Option<String>,
    is_at_end: bool,
    read: usize,
    /// Pages without items, one after the other.
    empty: usize,
}

impl Place {
    /// The items of the next page; `None` after the last one. `ask` asks for the page that a marker names, `marker` is what a page
    /// names the next one by, and `of` takes the items out of a page.
    ///
    /// # Errors
    /// [`Unread`]. The paginators of the SDK end without an error at a page that names itself.
    pub async fn next<P, T, E, F, L>(
        &mut self,
        ask: impl FnOnce(Option<String>) -> F,
        marker: impl FnOnce(&P) -> Option<&str>,
        of: impl FnOnce(P) -> L,
    ) -> Result<Option<Vec<T>>, Unread<E>>
    where
        F: Future<Output = Result<P, E>>,
        L: Into<Option<Vec<T>>>,
    {
        if self.is_at_end {
            return Ok(None);
        }
        let page = ask(self.marker.clone()).await.map_err(Unread::Call)?;
        let next = marker(&page).filter(|next| !next.is_empty()).map(str::to_owned);
        let items = of(page).into().unwrap_or_default();
        self.read += 1;
        self.empty = if items.is_empty() { self.empty + 1 } else { 0 };
        let is_endless = self.read >= MOST_PAGES || self.empty >= MOST_EMPTY_PAGES || next == self.marker;
        if next.is_some() && is_endless {
            return Err(Unread::Endless(self.read));
        }
        self.is_at_end = next.is_none();
        self.marker = next;
        Ok(Some(items))
    }
}

/// The items of all pages, or of as many as have `enough` of them. The functions are those of [`Place::next`].
///
/// # Errors
/// [`Unread`].
pub async fn items<P, T, E, F, L>(
    ask: impl Fn(Option<String>) -> F,
    marker: impl Fn(&P) -> Option<&str>,
    of: impl Fn(P) -> L,
    enough: usize,
) -> Result<Vec<T>, Unread<E>>
where
    F: Future<Output = Result<P, E>>,
    L: Into<Option<Vec<T>>>,
{
    let (mut place, mut items) = (Place::default(), Vec::new());
    while let Some(page) = place.next(&ask, &marker, &of).await? {
        items.extend(page);
        if items.len() >= enough {
            break;
        }
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// A list whose every page names another one, each with so many items.
    async fn read(size: usize, enough: usize) -> Result<Vec<()>, Unread<()>> {
        let pages = Cell::new(0);
        let ask = |_| {
            pages.set(pages.get() + 1);
            let page = pages.get().to_string();
            async move { Ok(page) }
        };
        items(ask, |page| Some(page), |_| vec![(); size], enough).await
    }

    #[tokio::test]
    async fn a_list_whose_every_page_names_another_ends_with_or_without_items() {
        assert!(matches!(read(1, usize::MAX).await, Err(Unread::Endless(MOST_PAGES))));
        assert!(matches!(read(0, usize::MAX).await, Err(Unread::Endless(MOST_EMPTY_PAGES))));
    }

    #[tokio::test]
    async fn a_page_that_names_itself_ends_no_whole_list() {
        let read = |markers: &'static [Option<&'static str>]| {
            let pages = Cell::new(markers.iter());
            let ask = move |_| {
                let mut left = pages.take();
                let page = left.next().copied();
                pages.set(left);
                async move { page.ok_or(()) }
            };
            items(ask, |marker| *marker, |_| vec![()], usize::MAX)
        };
        assert!(matches!(read(&[Some("a"), Some("a")]).await, Err(Unread::Endless(2))));
        assert_eq!(read(&[Some("a"), None]).await.unwrap().len(), 2);
        assert_eq!(read(&[Some("a"), Some("")]).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn no_more_is_read_than_is_asked_for() {
        assert_eq!(read(2, 3).await.unwrap().len(), 4);
    }
}
