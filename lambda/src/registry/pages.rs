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
    /// Each page names a further one: after so many, the list counts as endless.
    Endless(usize),
}

/// The items of all pages, or of as many as have `enough` of them; `of` takes them out of a page.
///
/// # Errors
/// [`Unread`].
pub async fn items<P, T, E, L>(
    mut pages: PaginationStream<Result<P, E>>,
    of: impl Fn(P) -> L,
    enough: usize,
) -> Result<Vec<T>, Unread<E>>
where
    L: Into<Option<Vec<T>>>,
{
    let (mut items, mut read, mut empty) = (Vec::new(), 0, 0);
    while let Some(page) = pages.next().await {
        let page = of(page.map_err(Unread::Call)?).into().unwrap_or_default();
        read += 1;
        empty = if page.is_empty() { empty + 1 } else { 0 };
        items.extend(page);
        if items.len() >= enough {
            break;
        }
        if read >= MOST_PAGES || empty >= MOST_EMPTY_PAGES {
            return Err(Unread::Endless(read));
        }
    }
    Ok(items)
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
        items(endless(size), |size| vec![(); size], enough).await
    }

    #[tokio::test]
    async fn a_list_whose_every_page_names_another_ends_with_or_without_items() {
        assert!(matches!(read(1, usize::MAX).await, Err(Unread::Endless(MOST_PAGES))));
        assert!(matches!(read(0, usize::MAX).await, Err(Unread::Endless(MOST_EMPTY_PAGES))));
    }

    #[tokio::test]
    async fn no_more_is_read_than_is_asked_for() {
        assert_eq!(read(2, 3).await.unwrap().len(), 4);
    }
}
