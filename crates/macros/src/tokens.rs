//! Tokens in a row.
//!
//! The compiler is called for every stream that is made, copied or joined to another one, which
//! costs more than all tokens in it. So the code of a statement, of which programs have hundreds,
//! is a row of single tokens, with a stream for each pair of brackets.

use proc_macro2::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

/// Tokens that are put in a row.
#[derive(Default)]
pub(crate) struct Tokens(Vec<TokenTree>);

impl Tokens {
    /// Adds a token.
    pub(crate) fn push(&mut self, token: impl Into<TokenTree>) -> &mut Tokens {
        self.0.push(token.into());
        self
    }

    /// Adds what others have put in a row.
    pub(crate) fn append(&mut self, tokens: Tokens) -> &mut Tokens {
        self.0.extend(tokens.0);
        self
    }

    /// Adds all tokens of a stream.
    pub(crate) fn all(&mut self, tokens: TokenStream) {
        self.0.extend(tokens);
    }

    /// Adds a word.
    pub(crate) fn word(&mut self, word: &str) -> &mut Tokens {
        self.push(Ident::new(word, Span::call_site()))
    }

    /// Adds a mark of one character.
    pub(crate) fn mark(&mut self, mark: char) -> &mut Tokens {
        self.push(Punct::new(mark, Spacing::Alone))
    }

    /// Adds a mark of one character that is where `span` is.
    pub(crate) fn mark_at(&mut self, mark: char, span: Span) -> &mut Tokens {
        let mut mark = Punct::new(mark, Spacing::Alone);
        mark.set_span(span);
        self.push(mark)
    }

    /// Adds `::`.
    pub(crate) fn colons(&mut self) -> &mut Tokens {
        self.push(Punct::new(':', Spacing::Joint)).mark(':')
    }

    /// Adds `=>`.
    pub(crate) fn arrow(&mut self) -> &mut Tokens {
        self.push(Punct::new('=', Spacing::Joint)).mark('>')
    }

    /// Adds `::one::two::three`.
    pub(crate) fn path(&mut self, words: &[&str]) -> &mut Tokens {
        for word in words {
            self.colons().word(word);
        }
        self
    }

    /// Adds a string.
    pub(crate) fn text(&mut self, text: &str) -> &mut Tokens {
        self.push(Literal::string(text))
    }

    /// Adds what stands in brackets, which are where `span` is.
    pub(crate) fn group(
        &mut self,
        delimiter: Delimiter,
        tokens: impl Into<TokenStream>,
        span: Span,
    ) -> &mut Tokens {
        let mut group = Group::new(delimiter, tokens.into());
        group.set_span(span);
        self.push(group)
    }

    /// Adds what stands in brackets.
    pub(crate) fn within(&mut self, delimiter: Delimiter, tokens: Tokens) -> &mut Tokens {
        self.push(Group::new(delimiter, tokens.into()))
    }
}

impl From<Tokens> for TokenStream {
    fn from(tokens: Tokens) -> TokenStream {
        tokens.0.into_iter().collect()
    }
}
