//! Long lists in pages. A token names the last item that was given, so that nothing is left out or given
//! twice when items come and go between two pages.

use std::ops::RangeInclusive;

use serde_json::Value;

/// One page, as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    after: Option<u64>,
    size: usize,
}

/// How a service asks for pages of one list.
#[derive(Debug)]
pub(crate) struct Paging {
    /// The list's name; a token of another list is refused.
    pub(crate) list: &'static str,
    pub(crate) size: &'static str,
    pub(crate) token: &'static str,
    pub(crate) sizes: RangeInclusive<u64>,
    pub(crate) default: usize,
}

impl Paging {
    /// Reads which page is asked for; the error says what is wrong.
    pub(crate) fn read(&self, ask: &Value) -> Result<Page, String> {
        Ok(Page {
            after: self.after(&ask[self.token])?,
            size: self.size(&ask[self.size])?,
        })
    }

    /// Cuts a page out of the items, which carry keys in ascending order, and gives the token of the next.
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
        let refused = || format!("{} is not one that {} gave", self.token, self.list);
        key.map(Some).ok_or_else(refused)
    }

    fn size(&self, size: &Value) -> Result<usize, String> {
        let (least, most) = (self.sizes.start(), self.sizes.end());
        let refused = || format!("{} has to be from {least} to {most}", self.size);
        match size {
            Value::Null => Ok(self.default),
            size => match size.as_u64().filter(|it| self.sizes.contains(it)) {
                // Where a service takes 0 it means the service's own choice.
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
        let mut ask = json!({"PageSize": 2});
        let mut seen = Vec::new();
        for pages in 1.. {
            let page = PAGING.read(&ask).unwrap();
            let (given, next) = PAGING.cut(page, all.clone());
            seen.extend(given);
            let Some(token) = next else {
                assert_eq!(pages, 3);
                break;
            };
            ask["PageToken"] = json!(token);
        }
        assert_eq!(seen, [10, 20, 50, 70, 80]);
    }

    #[test]
    fn what_went_away_between_two_pages_hides_nothing() {
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
        for ask in [
            json!({"PageSize": 6}),
            json!({"PageSize": "2"}),
            json!({"PageToken": "ListOthers-1"}),
            json!({"PageToken": "ListThings-x"}),
            json!({"PageToken": 1}),
        ] {
            assert!(PAGING.read(&ask).is_err(), "{ask}");
        }
    }
}
