//! Lists of addresses (ssh_config(5), PATTERNS; sshd(8), `from=`): networks, wildcards, negation.

use super::pattern::{Match, match_list, wildcard_matches};
use std::net::IpAddr;

/// Whether a `from=` list admits a client from this address, as sshd decides it without looking up names: a pattern matches
/// and no negated one. A list with a damaged network admits nobody.
pub(crate) fn list_admits(list: &[u8], address: IpAddr) -> bool {
    let text = address.to_string();
    match addresses_match(list, address, &text) {
        None | Some(Match::Negated) => false,
        // A pattern for names sees the address in the name's place.
        Some(matched) => match match_list(&list.to_ascii_lowercase(), text.as_bytes()) {
            Match::Negated => false,
            Match::Yes => true,
            Match::No => matched == Match::Yes,
        },
    }
}

/// `None` if the list is damaged.
fn addresses_match(list: &[u8], address: IpAddr, text: &str) -> Option<Match> {
    let mut matched = Match::No;
    for element in list.split(|&byte| byte == b',') {
        let (negated, element) = match element.strip_prefix(b"!") {
            Some(rest) => (true, rest),
            None => (false, element),
        };
        let found = match Network::parse(element) {
            _ if element.is_empty() => return None,
            Element::Network(network) => network.holds(address),
            Element::Damaged => return None,
            Element::Other => wildcard_matches(element, text.as_bytes()),
        };
        match found {
            true if negated => return Some(Match::Negated),
            true => matched = Match::Yes,
            false => {}
        }
    }
    Some(matched)
}

/// Whether a certificate's `source-address` list holds this address; `None` if anything in it isn't an address or a network.
pub(crate) fn networks_hold(list: &[u8], address: Option<IpAddr>) -> Option<bool> {
    let mut found = false;
    for element in list.split(|&byte| byte == b',') {
        match Network::parse(element) {
            Element::Network(network) => found |= address.is_some_and(|address| network.holds(address)),
            Element::Damaged | Element::Other => return None,
        }
    }
    Some(found)
}

/// An element of a list.
#[derive(Debug, PartialEq, Eq)]
enum Element {
    Network(Network),
    /// A network whose mask doesn't fit it.
    Damaged,
    Other,
}

/// An address and the number of its bits that count.
#[derive(Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(text: &[u8]) -> Element {
        let Ok(text) = std::str::from_utf8(text) else { return Element::Other };
        let (address, mask) = match text.split_once('/') {
            Some((address, mask)) => (address, Some(mask)),
            None => (text, None),
        };
        let parsed =
            mask.map(|mask| mask.parse::<u32>().ok().filter(|_| mask.bytes().all(|byte| byte.is_ascii_digit())));
        // As sshd: a mask that isn't a number makes it a pattern.
        if parsed == Some(None) {
            return Element::Other;
        }
        let Ok(address) = address.parse::<IpAddr>() else { return Element::Other };
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = parsed.flatten().unwrap_or(width);
        let network = Network { address, bits };
        if bits > width || network.host_part(address) != 0 { Element::Damaged } else { Element::Network(network) }
    }

    fn holds(&self, address: IpAddr) -> bool {
        let same_family = self.address.is_ipv4() == address.is_ipv4();
        same_family && self.network_part(address) == self.network_part(self.address)
    }

    /// The bits of the address below the mask, as a number.
    fn host_part(&self, address: IpAddr) -> u128 {
        let (number, width) = number(address);
        let below = width - self.bits;
        if below == 0 { 0 } else { number & (u128::MAX >> (128 - below)) }
    }

    fn network_part(&self, address: IpAddr) -> u128 {
        let (number, width) = number(address);
        number.checked_shr(width - self.bits).unwrap_or(0)
    }
}

fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(list: &str, address: &str) -> bool {
        list_admits(list.as_bytes(), address.parse().expect("an address"))
    }

    #[test]
    fn networks_patterns_and_negation() {
        assert!(admits("10.0.0.0/8", "10.1.2.3") && !admits("10.0.0.0/8", "11.1.2.3"));
        assert!(admits("127.0.0.?", "127.0.0.1") && admits("*", "::1") && admits("::/0", "::1"));
        assert!(admits("0.0.0.0/0", "8.8.8.8") && !admits("0.0.0.0/0", "::1"));
        assert!(!admits("!10.0.0.1,10.0.0.0/8", "10.0.0.1") && !admits("10.0.0.0/8,!10.0.0.1", "10.0.0.1"));
        assert!(!admits("!10.0.0.1", "10.0.0.2") && !admits("*.example.com", "10.0.0.2"));
        assert!(admits("FE80::/10", "fe80::1"));
        // Damaged: nobody is admitted, whatever else matches.
        for list in ["*,", "10.0.0.1/8,*", "10.0.0.0/33,*", ",*", "!,*"] {
            assert!(!admits(list, "10.0.0.1"), "{list}");
        }
    }

    #[test]
    fn a_certificates_list_has_networks_only() {
        let holds = |list: &str| networks_hold(list.as_bytes(), Some("10.0.0.1".parse().expect("an address")));
        assert_eq!(holds("10.0.0.1"), Some(true));
        assert_eq!(holds("11.0.0.0/8,10.0.0.0/8"), Some(true));
        assert_eq!(holds("11.0.0.0/8"), Some(false));
        for damaged in ["", "*", "!10.0.0.1", "10.0.0.1/8", "10.0.0.1,"] {
            assert_eq!(holds(damaged), None, "{damaged}");
        }
    }
}
