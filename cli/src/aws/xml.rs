//! An XML document as a tree, for answers of the query protocol.

use xmlparser::{ElementEnd, Token, Tokenizer};

/// The entities that XML declares, and numbers of characters.
const ENTITIES: [(&str, &str); 5] = [
    ("lt", "<"),
    ("gt", ">"),
    ("amp", "&"),
    ("quot", "\""),
    ("apos", "'"),
];

/// An element: its name, and either elements or a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

/// The text is not XML.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not XML")]
pub struct NotXml;

impl Element {
    /// The root element of a document.
    ///
    /// # Errors
    /// If the text is not XML.
    pub fn parse(text: &str) -> Result<Self, NotXml> {
        let mut open: Vec<Self> = Vec::new();
        for token in Tokenizer::from(text) {
            match token.map_err(|_| NotXml)? {
                Token::ElementStart { local, .. } => open.push(Self {
                    name: local.as_str().to_owned(),
                    ..Self::default()
                }),
                Token::Text { text } => {
                    if let Some(element) = open.last_mut() {
                        element.text.push_str(&unescaped(text.as_str()));
                    }
                }
                Token::Cdata { text, .. } => {
                    if let Some(element) = open.last_mut() {
                        element.text.push_str(text.as_str());
                    }
                }
                Token::ElementEnd {
                    end: ElementEnd::Close(..) | ElementEnd::Empty,
                    ..
                } => {
                    let mut closed = open.pop().ok_or(NotXml)?;
                    if !closed.children.is_empty() {
                        closed.text.clear();
                    }
                    match open.last_mut() {
                        Some(parent) => parent.children.push(closed),
                        None => return Ok(closed),
                    }
                }
                _ => {}
            }
        }
        Err(NotXml)
    }

    /// The first element of this name, anywhere below.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Self> {
        self.children.iter().find_map(|child| {
            if child.name == name {
                Some(child)
            } else {
                child.find(name)
            }
        })
    }

    /// The text of the child of this name; empty without one.
    #[must_use]
    pub fn child(&self, name: &str) -> &str {
        let child = self.children.iter().find(|child| child.name == name);
        child.map_or("", |child| child.text.as_str())
    }

    /// The members of the first list of this name, anywhere below.
    pub fn members(&self, list: &str) -> impl Iterator<Item = &Self> {
        let list = self.find(list);
        list.into_iter()
            .flat_map(|list| &list.children)
            .filter(|child| child.name == "member")
    }

    /// The text of the first element of this name, anywhere below; `None` if there is none or it is empty.
    #[must_use]
    pub fn text_of(&self, name: &str) -> Option<&str> {
        let text = self.find(name)?.text.as_str();
        (!text.is_empty()).then_some(text)
    }

    /// Its name, without a prefix.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The elements directly below.
    #[must_use]
    pub fn children(&self) -> &[Self] {
        &self.children
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn unescaped(text: &str) -> String {
    let mut parts = text.split('&');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let entity = part.split_once(';');
        let entity = entity.and_then(|(name, rest)| Some((character(name)?, rest)));
        // What is no entity stays as it is.
        let (character, rest) = entity.unwrap_or_else(|| ("&".to_owned(), part));
        whole.push_str(&character);
        whole.push_str(rest);
    }
    whole
}

fn character(name: &str) -> Option<String> {
    let number = match name.strip_prefix("#x") {
        Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok(),
        None => name
            .strip_prefix('#')
            .and_then(|number| number.parse().ok()),
    };
    if let Some(number) = number {
        return char::from_u32(number).map(String::from);
    }
    let found = ENTITIES.iter().find(|(entity, _)| *entity == name);
    found.map(|(_, text)| (*text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_its_members() {
        let answer = Element::parse(
            "<?xml version=\"1.0\"?>\n<R xmlns=\"http://x\"><Result><Stacks>\n <member><Name>a &amp; &#98;&#x63;</Name>\
             <Tags/></member>\n <member><Name><![CDATA[<d>]]></Name></member></Stacks></Result></R>",
        )
        .unwrap();
        let names: Vec<&str> = answer
            .members("Stacks")
            .map(|it| it.child("Name"))
            .collect();
        assert_eq!(names, ["a & bc", "<d>"]);
        assert_eq!(answer.text_of("Name"), Some("a & bc"));
        assert_eq!(answer.text_of("Tags"), None);
        assert_eq!(answer.members("Parameters").count(), 0);
    }

    #[test]
    fn text_that_is_no_document_is_refused() {
        for text in ["", "{}", "<a>", "<a", "no", "</a>"] {
            assert_eq!(Element::parse(text), Err(NotXml), "{text}");
        }
        assert_eq!(
            Element::parse("<a>x &unknown; y</a>").unwrap().text(),
            "x &unknown; y"
        );
    }
}
