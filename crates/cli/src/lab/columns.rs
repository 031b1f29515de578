//! Who called what, in columns: time goes down.

use unglue_lab::record::Call;

/// How wide a column is where there are two.
const WIDTH: usize = 36;

/// One line for each call, and a heading: a column for each party where there are two, else a name in front of each call.
pub(super) fn lines(calls: &[Call]) -> Vec<String> {
    let mut parties: Vec<&str> = Vec::new();
    for call in calls {
        if !parties.contains(&call.who) {
            parties.push(call.who);
        }
    }
    match parties[..] {
        [left, right] => in_columns(calls, left, right),
        _ => with_names(calls, parties.iter().map(|name| name.len()).max().unwrap_or(0)),
    }
}

fn in_columns(calls: &[Call], left: &str, right: &str) -> Vec<String> {
    let heading = format!("{left:WIDTH$}{right}");
    let line = |call: &Call| match call.who == left {
        true => call.to_string(),
        false => format!("{:WIDTH$}{call}", ""),
    };
    [heading].into_iter().chain(calls.iter().map(line)).collect()
}

fn with_names(calls: &[Call], width: usize) -> Vec<String> {
    calls.iter().map(|call| format!("{:width$}  {call}", call.who)).collect()
}

#[cfg(test)]
mod tests {
    use unglue_lab::record::Datum;

    use super::*;

    fn call(who: &'static str) -> Call {
        Call { who, call: "close", given: Vec::new(), got: Datum::Nothing, peer: None }
    }

    #[test]
    fn two_have_columns_and_more_have_names() {
        let two = lines(&[call("client"), call("server")]);
        assert_eq!(two[0].split_whitespace().collect::<Vec<_>>(), ["client", "server"]);
        assert_eq!(two[2].find("close()"), Some(WIDTH));
        assert_eq!(lines(&[call("a"), call("bert"), call("c")]), ["a     close()", "bert  close()", "c     close()"]);
    }
}
