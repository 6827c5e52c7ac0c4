//! Who may connect from where, and how they prove who they are: rules in the form of PostgreSQL's
//! `pg_hba.conf`. The first rule that fits a connection decides; where none does, it is refused.
//!
//! ```text
//! # TYPE   DATABASE  USER        ADDRESS         METHOD
//! local    all       all                         peer
//! hostssl  all       +staff      10.0.0.0/8      scram-sha-256
//! host     all       all         0.0.0.0/0       reject
//! ```

use std::net::IpAddr;

use crate::error::{Error, Result};

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// It does not have to.
    Trust,
    /// It is turned away.
    Reject,
    /// By a password, which never crosses the wire.
    ScramSha256,
    /// By being the system's user that runs the server; over the Unix socket alone.
    Peer,
}

/// Which way a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Local,
    /// TCP; `Some`: only with TLS, or only without.
    Host(Option<bool>),
}

/// What stands in the columns DATABASE and USER.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    All,
    /// The database that is called as the user; or whose name is a role that the user is in.
    SameUser,
    SameRole,
    Exact(String),
    /// Members of this role.
    Member(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    way: Way,
    databases: Vec<Name>,
    users: Vec<Name>,
    /// `None`: every address.
    network: Option<Network>,
    method: Method,
}

/// A connection that wants to be let in.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Its address; `None`: it has come over the Unix socket.
    pub address: Option<IpAddr>,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// The database that it asks for.
    pub database: &'a str,
    /// Who it says it is.
    pub user: &'a str,
}

/// The rules of a file, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    rules: Vec<Rule>,
}

impl Rules {
    /// Reads rules; `name` is that of the file, for errors.
    ///
    /// # Errors
    /// Names the line that is wrong.
    pub fn parse(name: &str, text: &str) -> Result<Rules> {
        let mut rules = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let rule = words(line).and_then(|words| rule(&words));
            match rule {
                Ok(Some(rule)) => rules.push(rule),
                Ok(None) => {}
                Err(problem) => {
                    return Err(Error::Rules {
                        file: name.to_owned(),
                        line: at + 1,
                        problem,
                    });
                }
            }
        }
        Ok(Rules { rules })
    }

    /// What is asked of a connection; `None`: no rule fits, so it is refused. `is_member` tells
    /// whether the user is in a role.
    #[must_use]
    pub fn method(
        &self,
        attempt: &Attempt<'_>,
        is_member: impl Fn(&str) -> bool,
    ) -> Option<Method> {
        self.rules
            .iter()
            .find(|rule| rule.fits(attempt, &is_member))
            .map(|rule| rule.method)
    }

    /// Whether somebody could come in over TCP without a password.
    #[must_use]
    pub fn trusts_over_tcp(&self) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.way != Way::Local && rule.method == Method::Trust)
    }
}

impl Rule {
    fn fits(&self, attempt: &Attempt<'_>, is_member: &impl Fn(&str) -> bool) -> bool {
        let comes_so = match (self.way, attempt.address) {
            (Way::Local, None) => true,
            (Way::Host(encrypted), Some(address)) => {
                encrypted.is_none_or(|wanted| wanted == attempt.encrypted)
                    && self
                        .network
                        .as_ref()
                        .is_none_or(|network| network.holds(address))
            }
            _ => false,
        };
        comes_so
            && self.databases.iter().any(|name| match name {
                Name::All => true,
                Name::SameUser => attempt.database == attempt.user,
                Name::SameRole => is_member(attempt.database),
                Name::Exact(name) => name == attempt.database,
                Name::Member(_) => false,
            })
            && self.users.iter().any(|name| match name {
                Name::All => true,
                Name::Exact(name) => name == attempt.user,
                Name::Member(role) => is_member(role),
                Name::SameUser | Name::SameRole => false,
            })
    }
}

impl Network {
    fn holds(&self, address: IpAddr) -> bool {
        // A server that listens on an IPv6 address sees IPv4 clients under mapped addresses.
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(of)) => {
                let mask = mask32(self.bits);
                net.to_bits() & mask == of.to_bits() & mask
            }
            (IpAddr::V6(net), IpAddr::V6(of)) => {
                let mask = mask128(self.bits);
                net.to_bits() & mask == of.to_bits() & mask
            }
            _ => false,
        }
    }
}

fn mask32(bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
}

fn mask128(bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

/// A word of a line; in quotes it stands for itself and is no keyword.
#[derive(Debug)]
struct Word {
    text: String,
    quoted: bool,
}

impl Word {
    fn is(&self, keyword: &str) -> bool {
        !self.quoted && self.text == keyword
    }
}

/// The columns of a line, each a list of words.
fn words(line: &str) -> Result<Vec<Vec<Word>>, String> {
    let mut columns: Vec<Vec<Word>> = Vec::new();
    let mut rest = line.trim_start();
    let mut continues = false;
    while let Some(first) = rest.chars().next() {
        if first == '#' {
            break;
        }
        let (word, after) = if first == '"' {
            let inner = rest.get(1..).unwrap_or_default();
            let end = inner.find('"').ok_or("a quote is never closed")?;
            let (text, after) = inner.split_at(end);
            let word = Word {
                text: text.to_owned(),
                quoted: true,
            };
            (word, after.get(1..).unwrap_or_default())
        } else {
            let end = rest
                .find(|c: char| c.is_whitespace() || ",\"#".contains(c))
                .unwrap_or(rest.len());
            let (text, after) = rest.split_at(end);
            let word = Word {
                text: text.to_owned(),
                quoted: false,
            };
            (word, after)
        };
        if word.text.is_empty() && !word.quoted {
            return Err("a name is missing beside a comma".to_owned());
        }
        match columns.last_mut().filter(|_| continues) {
            Some(column) => column.push(word),
            None => columns.push(vec![word]),
        }
        let after = after.trim_start();
        continues = after.starts_with(',');
        rest = after.strip_prefix(',').unwrap_or(after).trim_start();
    }
    if continues {
        return Err("a name is missing behind a comma".to_owned());
    }
    Ok(columns)
}

fn rule(columns: &[Vec<Word>]) -> Result<Option<Rule>, String> {
    let Some((kind, rest)) = columns.split_first() else {
        return Ok(None);
    };
    let way = match one(kind, "the type")?.text.as_str() {
        "local" => Way::Local,
        "host" => Way::Host(None),
        "hostssl" => Way::Host(Some(true)),
        "hostnossl" => Way::Host(Some(false)),
        "hostgssenc" | "hostnogssenc" => {
            return Err("GSSAPI encryption is not offered: use host or hostssl".to_owned());
        }
        other => {
            return Err(format!(
                "{other:?} is no type: local, host, hostssl or hostnossl"
            ));
        }
    };
    let (databases, rest) = rest.split_first().ok_or("the database is missing")?;
    let (users, mut rest) = rest.split_first().ok_or("the user is missing")?;
    let mut network = None;
    if way != Way::Local {
        let (address, after) = rest.split_first().ok_or("the address is missing")?;
        let address = one(address, "the address")?;
        rest = after;
        if !address.is("all") {
            let (found, took_mask) = self::network(address, rest.first())?;
            network = Some(found);
            if took_mask {
                rest = rest.get(1..).unwrap_or_default();
            }
        }
    }
    let (method, options) = rest.split_first().ok_or("the method is missing")?;
    let method = match one(method, "the method")?.text.as_str() {
        "trust" => Method::Trust,
        "reject" => Method::Reject,
        "scram-sha-256" => Method::ScramSha256,
        "peer" if way == Way::Local => Method::Peer,
        "peer" => return Err("peer is for local connections alone".to_owned()),
        "md5" | "password" => {
            return Err("passwords are proven by scram-sha-256 alone".to_owned());
        }
        other => {
            return Err(format!(
                "{other:?} is no method: scram-sha-256, peer, trust or reject"
            ));
        }
    };
    if let Some(option) = options.first().and_then(|column| column.first()) {
        return Err(format!("the option {:?} is not known", option.text));
    }
    Ok(Some(Rule {
        way,
        databases: databases.iter().map(database).collect::<Result<_, _>>()?,
        users: users.iter().map(user).collect::<Result<_, _>>()?,
        network,
        method,
    }))
}

fn one<'a>(column: &'a [Word], what: &str) -> Result<&'a Word, String> {
    match column {
        [word] => Ok(word),
        _ => Err(format!("{what} is one word, not a list")),
    }
}

fn database(word: &Word) -> Result<Name, String> {
    Ok(match word {
        word if word.is("all") => Name::All,
        word if word.is("sameuser") => Name::SameUser,
        word if word.is("samerole") || word.is("samegroup") => Name::SameRole,
        word if word.is("replication") => {
            return Err("there are no replication connections".to_owned());
        }
        word if !word.quoted && word.text.starts_with('@') => {
            return Err("lists of names in other files are not read".to_owned());
        }
        word => Name::Exact(word.text.clone()),
    })
}

fn user(word: &Word) -> Result<Name, String> {
    if word.is("all") {
        return Ok(Name::All);
    }
    if !word.quoted && word.text.starts_with('@') {
        return Err("lists of names in other files are not read".to_owned());
    }
    Ok(match word.text.strip_prefix('+').filter(|_| !word.quoted) {
        Some(role) => Name::Member(role.to_owned()),
        None => Name::Exact(word.text.clone()),
    })
}

/// An address with the length of its prefix, or with a mask in the next column.
fn network(word: &Word, next: Option<&Vec<Word>>) -> Result<(Network, bool), String> {
    let text = word.text.as_str();
    if matches!(text, "samehost" | "samenet") {
        return Err(format!("{text} is not known here: name the addresses"));
    }
    let wrong = || {
        format!(
            "{text:?} is no address: all, 192.0.2.0/24 or 2001:db8::/32 (names are not looked up)"
        )
    };
    if let Some((address, bits)) = text.split_once('/') {
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits: u8 = bits.parse().map_err(|_| wrong())?;
        if bits > most {
            return Err(format!("{text:?}: an address has {most} bits"));
        }
        return Ok((Network { address, bits }, false));
    }
    let address: IpAddr = text.parse().map_err(|_| wrong())?;
    let mask = next
        .and_then(|column| column.first())
        .and_then(|word| word.text.parse::<IpAddr>().ok());
    let ones = match (address, mask) {
        (IpAddr::V4(_), Some(IpAddr::V4(mask))) => {
            let mask = mask.to_bits();
            (mask.leading_ones() == mask.count_ones()).then_some(mask.leading_ones())
        }
        (IpAddr::V6(_), Some(IpAddr::V6(mask))) => {
            let mask = mask.to_bits();
            (mask.leading_ones() == mask.count_ones()).then_some(mask.leading_ones())
        }
        (_, Some(_)) => None,
        (_, None) => {
            return Err(format!(
                "{text:?} has neither the length of its prefix (/32) nor a mask"
            ));
        }
    };
    let bits = ones
        .and_then(|ones| u8::try_from(ones).ok())
        .ok_or("the mask does not fit the address")?;
    Ok((Network { address, bits }, true))
}

#[cfg(test)]
mod tests {
    use super::{Attempt, Method, Rules};

    fn attempt<'a>(
        address: &str,
        encrypted: bool,
        database: &'a str,
        user: &'a str,
    ) -> Attempt<'a> {
        Attempt {
            address: (!address.is_empty()).then(|| address.parse().unwrap()),
            encrypted,
            database,
            user,
        }
    }

    fn decide(rules: &str, attempt: &Attempt<'_>) -> Option<Method> {
        let rules = Rules::parse("test", rules).unwrap();
        // Ann is in staff; everybody is in a role of the own name.
        rules.method(attempt, |role| {
            role == attempt.user || (role == "staff" && attempt.user == "ann")
        })
    }

    #[test]
    fn nothing_is_allowed_without_a_rule() {
        for rules in ["", "# a comment\n\n   \t\n"] {
            for address in ["", "127.0.0.1", "::1"] {
                assert_eq!(decide(rules, &attempt(address, true, "d", "ann")), None);
            }
        }
    }

    /// Every kind of rule against every kind of connection.
    #[test]
    fn every_rule_against_every_connection() {
        let ways = [
            ("local", "", "peer"),
            ("host", "all", "scram-sha-256"),
            ("host", "10.0.0.0/8", "scram-sha-256"),
            ("hostssl", "10.1.2.3/32", "scram-sha-256"),
            ("hostnossl", "0.0.0.0/0", "reject"),
            ("host", "10.0.0.0 255.0.0.0", "trust"),
            ("hostssl", "2001:db8::/32", "scram-sha-256"),
            ("host", "::/0", "scram-sha-256"),
        ];
        let databases = ["all", "sameuser", "samerole", "app", "\"all\"", "other,app"];
        let users = ["all", "ann", "+staff", "\"+staff\"", "bob, ann"];
        let connections = [
            ("", false),
            ("10.1.2.3", true),
            ("10.1.2.3", false),
            ("192.0.2.1", false),
            ("192.0.2.1", true),
            ("2001:db8::7", true),
            ("::ffff:10.9.9.9", false),
        ];
        let mut cases = 0;
        for (kind, address, method) in ways {
            for database in databases {
                for user in users {
                    let line = format!("{kind} {database} {user} {address} {method}");
                    for (from, encrypted) in connections {
                        for (in_database, as_user) in [
                            ("app", "ann"),
                            ("ann", "ann"),
                            ("app", "bob"),
                            ("all", "eve"),
                        ] {
                            let comes_so = match (kind, address, from) {
                                ("local", _, from) => from.is_empty(),
                                (_, _, "") => false,
                                ("hostssl", _, _) if !encrypted => false,
                                ("hostnossl", _, _) if encrypted => false,
                                (_, "all", _) => true,
                                (_, "10.1.2.3/32", from) => from == "10.1.2.3",
                                (_, "0.0.0.0/0", from) => from.contains('.'),
                                (_, "2001:db8::/32", from) => from == "2001:db8::7",
                                (_, "::/0", from) => from == "2001:db8::7",
                                (_, _, from) => from.contains("10."),
                            };
                            let in_it = match database {
                                "all" => true,
                                "sameuser" => in_database == as_user,
                                "samerole" => in_database == as_user,
                                "\"all\"" => in_database == "all",
                                _ => in_database == "app",
                            };
                            let is_it = match user {
                                "all" => true,
                                "\"+staff\"" => false,
                                "bob, ann" => as_user != "eve",
                                _ => as_user == "ann",
                            };
                            let found =
                                decide(&line, &attempt(from, encrypted, in_database, as_user));
                            assert_eq!(
                                found.is_some(),
                                comes_so && in_it && is_it,
                                "{line}: {from} {encrypted} {in_database} {as_user}"
                            );
                            cases += 1;
                        }
                    }
                }
            }
        }
        assert!(cases > 500, "{cases}");
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = "host all eve all reject\nhost all all all scram-sha-256\nlocal all all peer";
        let method = |address, user| decide(rules, &attempt(address, false, "d", user));
        assert_eq!(method("192.0.2.1", "eve"), Some(Method::Reject));
        assert_eq!(method("192.0.2.1", "ann"), Some(Method::ScramSha256));
        assert_eq!(method("", "ann"), Some(Method::Peer));
        assert!(!Rules::parse("", rules).unwrap().trusts_over_tcp());
        let trusting = Rules::parse("", "host all all ::1/128 trust").unwrap();
        assert!(trusting.trusts_over_tcp());
    }

    #[test]
    fn wrong_lines_are_named() {
        for (line, part) in [
            ("lokal all all peer", "no type"),
            ("host all all scram-sha-256", "no address"),
            ("host all all 10.0.0.0/33 trust", "32 bits"),
            ("host all all 10.0.0.0 trust", "neither"),
            ("host all all 10.0.0.0 255.0.255.0 trust", "mask"),
            ("host all all example.org trust", "names are not looked up"),
            ("host all all all md5", "scram-sha-256 alone"),
            ("host all all all peer", "local"),
            ("host all all all", "method is missing"),
            ("host all \"all all trust", "never closed"),
            ("host all ann, , all trust", "missing"),
            ("host replication all all trust", "replication"),
            ("local all all peer map=x", "option"),
            ("local", "database is missing"),
        ] {
            let text = format!("# first\nlocal all all peer\n{line}\n");
            let error = Rules::parse("rules.conf", &text).unwrap_err().to_string();
            assert!(error.starts_with("rules.conf, line 3: "), "{error}");
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
