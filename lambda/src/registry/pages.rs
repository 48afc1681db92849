//! Lists of AWS, page by page. They end, even if each page names a further one.

use aws_smithy_async::future::pagination_stream::PaginationStream;

/// A list has at most so many pages: with the smallest page of AWS IoT (25 items), 2.5 million items.
pub const MOST_PAGES: usize = 100_000;
/// AWS may send pages without items (IAM User Guide, "Paginating the results"), but not so many one after the other.
pub const MOST_EMPTY_PAGES: usize = 1_000;

/// A list that was not read to its end.
#[derive(Debug)]
pub enum Unread<E> {
    /// A page could not be had.
    Call(E),
    /// Each page names a further one: after so many, the list counts as endless. Or the last of so many names itself.
    Endless(usize),
}

/// The items of all pages, or of as many as have `enough` of them; `of` takes them out of a page. `marker` is what a page
/// names the next one by: the paginators of the SDK end without an error at a page that names itself.
///
/// # Errors
/// [`Unread`].
pub async fn items<P, T, E, L>(
    mut pages: PaginationStream<Result<P, E>>,
    marker: impl Fn(&P) -> Option<&str>,
    of: impl Fn(P) -> L,
    enough: usize,
) -> Result<Vec<T>, Unread<E>>
where
    L: Into<Option<Vec<T>>>,
{
    let (mut items, mut read, mut empty, mut more) = (Vec::new(), 0, 0, false);
    while let Some(page) = pages.next().await {
        let page = page.map_err(Unread::Call)?;
        more = marker(&page).is_some_and(|marker| !marker.is_empty());
        let page = of(page).into().unwrap_or_default();
        read += 1;
        empty = if page.is_empty() { empty + 1 } else { 0 };
        items.extend(page);
        if items.len() >= enough {
            return Ok(items);
        }
        if read >= MOST_PAGES || empty >= MOST_EMPTY_PAGES {
            return Err(Unread::Endless(read));
        }
    }
    if more { Err(Unread::Endless(read)) } else { Ok(items) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_async::future::pagination_stream::fn_stream::FnStream;

    /// As many pages as are asked for, each with so many items.
    fn endless(size: usize) -> PaginationStream<Result<usize, ()>> {
        PaginationStream::new(FnStream::new(move |pages| {
            Box::pin(async move { while pages.send(Ok(size)).await.is_ok() {} })
        }))
    }

    async fn read(size: usize, enough: usize) -> Result<Vec<()>, Unread<()>> {
        items(endless(size), |_| Some("next"), |size| vec![(); size], enough).await
    }

    #[tokio::test]
    async fn a_list_whose_every_page_names_another_ends_with_or_without_items() {
        assert!(matches!(read(1, usize::MAX).await, Err(Unread::Endless(MOST_PAGES))));
        assert!(matches!(read(0, usize::MAX).await, Err(Unread::Endless(MOST_EMPTY_PAGES))));
    }

    #[tokio::test]
    async fn a_stream_that_ends_at_a_page_which_names_another_is_no_whole_list() {
        let pages = |markers: &'static [Option<&'static str>]| {
            PaginationStream::new(FnStream::new(move |pages| {
                Box::pin(async move {
                    for marker in markers {
                        pages.send(Ok::<_, ()>(*marker)).await.unwrap();
                    }
                })
            }))
        };
        let read = |markers| items(pages(markers), |marker| *marker, |_| vec![()], usize::MAX);
        assert!(matches!(read(&[Some("a"), Some("a")]).await, Err(Unread::Endless(2))));
        assert_eq!(read(&[Some("a"), None]).await.unwrap().len(), 2);
        assert_eq!(read(&[Some("a"), Some("")]).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn no_more_is_read_than_is_asked_for() {
        assert_eq!(read(2, 3).await.unwrap().len(), 4);
    }
}
