//! Pagination. A token names the last item of a page, so that no item is skipped or repeated when items are
//! added or removed between two pages.

use std::ops::RangeInclusive;

use serde_json::Value;

/// The requested page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    after: Option<u64>,
    size: usize,
}

/// How a service paginates one list.
#[derive(Debug)]
pub(crate) struct Paging {
    /// The name of the list; a token of another list is refused.
    pub(crate) list: &'static str,
    pub(crate) size: &'static str,
    pub(crate) token: &'static str,
    pub(crate) sizes: RangeInclusive<u64>,
    pub(crate) default: usize,
}

impl Paging {
    /// Reads the requested page; the error explains what is wrong.
    pub(crate) fn read(&self, input: &Value) -> Result<Page, String> {
        Ok(Page {
            after: self.after(&input[self.token])?,
            size: self.size(&input[self.size])?,
        })
    }

    /// Returns a page of the items, which have keys in ascending order, and the token of the next page.
    pub(crate) fn cut<T>(
        &self,
        page: Page,
        items: impl IntoIterator<Item = (u64, T)>,
    ) -> (Vec<T>, Option<String>) {
        let mut rest = items
            .into_iter()
            .filter(|(key, _)| page.after.is_none_or(|after| *key > after));
        let (keys, given): (Vec<u64>, Vec<T>) = rest.by_ref().take(page.size).unzip();
        let next = rest.next().and_then(|_| keys.last());
        (given, next.map(|key| format!("{}-{key}", self.list)))
    }

    fn after(&self, token: &Value) -> Result<Option<u64>, String> {
        if token.is_null() {
            return Ok(None);
        }
        let key = token
            .as_str()
            .and_then(|it| it.strip_prefix(self.list)?.strip_prefix('-')?.parse().ok());
        let refused = || format!("{} is not a token of {}", self.token, self.list);
        key.map(Some).ok_or_else(refused)
    }

    fn size(&self, size: &Value) -> Result<usize, String> {
        let (least, most) = (self.sizes.start(), self.sizes.end());
        let refused = || format!("{} must be from {least} to {most}", self.size);
        match size {
            Value::Null => Ok(self.default),
            size => match size.as_u64().filter(|it| self.sizes.contains(it)) {
                // Where a service accepts 0, it means the default.
                Some(0) => Ok(self.default),
                Some(size) => usize::try_from(size).map_err(|_| refused()),
                None => Err(refused()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PAGING: Paging = Paging {
        list: "ListThings",
        size: "PageSize",
        token: "PageToken",
        sizes: 0..=5,
        default: 3,
    };

    fn items(keys: &[u64]) -> Vec<(u64, u64)> {
        keys.iter().map(|key| (*key, key * 10)).collect()
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let all = items(&[1, 2, 5, 7, 8]);
        let mut input = json!({"PageSize": 2});
        let mut seen = Vec::new();
        for pages in 1.. {
            let page = PAGING.read(&input).unwrap();
            let (given, next) = PAGING.cut(page, all.clone());
            seen.extend(given);
            let Some(token) = next else {
                assert_eq!(pages, 3);
                break;
            };
            input["PageToken"] = json!(token);
        }
        assert_eq!(seen, [10, 20, 50, 70, 80]);
    }

    #[test]
    fn an_item_removed_between_two_pages_hides_no_other() {
        let page = PAGING.read(&json!({"PageSize": 2})).unwrap();
        let (_, next) = PAGING.cut(page, items(&[1, 2, 5]));
        let page = PAGING.read(&json!({"PageToken": next})).unwrap();
        assert_eq!(PAGING.cut(page, items(&[5, 6])), (vec![50, 60], None));
    }

    #[test]
    fn a_full_last_page_has_no_token() {
        let page = PAGING.read(&json!({})).unwrap();
        assert_eq!(
            PAGING.cut(page, items(&[1, 2, 3])),
            (vec![10, 20, 30], None)
        );
        let none = PAGING.read(&json!({"PageSize": 0})).unwrap();
        assert_eq!(none, page);
    }

    #[test]
    fn other_sizes_and_tokens_are_refused() {
        for input in [
            json!({"PageSize": 6}),
            json!({"PageSize": "2"}),
            json!({"PageToken": "ListOthers-1"}),
            json!({"PageToken": "ListThings-x"}),
            json!({"PageToken": 1}),
        ] {
            assert!(PAGING.read(&input).is_err(), "{input}");
        }
    }
}
