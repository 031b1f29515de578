//! What the lines of a file are to each other, before anything runs.

use std::collections::HashMap;

use super::line::Job;

/// Checks that ids are used once, and that all needs can be met.
///
/// # Errors
/// The number of the line that is wrong, and why.
pub(super) fn check(jobs: &[Job]) -> Result<(), (u64, String)> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (at, job) in jobs.iter().enumerate() {
        if let Some(id) = &job.given
            && let Some(first) = places.insert(id, at)
        {
            return Err((job.line, format!("the id {id:?} is that of line {} too", jobs[first].line)));
        }
    }
    let mut missing: Vec<usize> = vec![0; jobs.len()];
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); jobs.len()];
    for (at, job) in jobs.iter().enumerate() {
        for need in &job.needs {
            let Some(&place) = places.get(need.as_str()) else {
                return Err((job.line, format!("it needs {need:?}, which is not a line's id")));
            };
            dependents[place].push(at);
            missing[at] += 1;
        }
    }
    // What can run is taken away, again and again; a circle is left (Kahn's algorithm).
    let mut free: Vec<usize> = (0..jobs.len()).filter(|&at| missing[at] == 0).collect();
    while let Some(at) = free.pop() {
        for &dependent in &dependents[at] {
            missing[dependent] -= 1;
            if missing[dependent] == 0 {
                free.push(dependent);
            }
        }
    }
    match missing.iter().position(|&missing| missing > 0) {
        None => Ok(()),
        Some(at) => {
            let circle = circle(jobs, &places, &missing, at);
            Err((jobs[circle[0]].line, format!("it needs itself: {}", shown(jobs, &circle))))
        }
    }
}

/// A circle among the lines that can't run: from each there is a way to one that can't run either, and so it comes back.
fn circle(jobs: &[Job], places: &HashMap<&str, usize>, missing: &[usize], from: usize) -> Vec<usize> {
    let next = |at: usize| {
        let needs = jobs[at].needs.iter().filter_map(|need| places.get(need.as_str()).copied());
        needs.into_iter().find(|&need| missing[need] > 0).unwrap_or(at)
    };
    let mut at = from;
    // After so many steps it is within the circle.
    for _ in 0..jobs.len() {
        at = next(at);
    }
    let (first, mut circle) = (at, vec![at]);
    loop {
        at = next(at);
        if at == first {
            break;
        }
        circle.push(at);
    }
    // It begins with its first line.
    let smallest = (0..circle.len()).min_by_key(|&place| circle[place]).unwrap_or(0);
    circle.rotate_left(smallest);
    circle
}

/// `a, which needs b (line 2), which needs a`, at most ten of them.
fn shown(jobs: &[Job], circle: &[usize]) -> String {
    let name = |at: usize| jobs[at].given.as_deref().unwrap_or_default();
    let mut text = format!("{:?}", name(circle[0]));
    for &at in circle.iter().skip(1).take(10) {
        text += &format!(" needs {:?} of line {}, which", name(at), jobs[at].line);
    }
    if circle.len() > 11 {
        text += " … which";
    }
    text + &format!(" needs {:?}", name(circle[0]))
}

#[cfg(test)]
mod tests {
    use super::super::line::parse;
    use super::*;

    fn checked(lines: &[(&str, &[&str])]) -> Result<(), (u64, String)> {
        let job = |(at, (id, needs)): (usize, &(&str, &[&str]))| {
            let mut object = serde_json::json!({"argv": ["true"], "needs": needs});
            if !id.is_empty() {
                object["id"] = (*id).into();
            }
            parse(at as u64 + 1, object.to_string().as_bytes()).expect("right").expect("a job")
        };
        check(&lines.iter().enumerate().map(job).collect::<Vec<_>>())
    }

    #[test]
    fn what_can_run_is_accepted() {
        assert_eq!(checked(&[]), Ok(()));
        assert_eq!(checked(&[("c", &["a", "b"]), ("a", &[]), ("b", &["a"]), ("", &["c"]), ("", &[])]), Ok(()));
    }

    #[test]
    fn what_can_not_run_is_named_with_its_line() {
        let (line, why) = checked(&[("a", &[]), ("a", &[])]).expect_err("used twice");
        assert!(line == 2 && why.contains("\"a\" is that of line 1"), "{why}");
        let (line, why) = checked(&[("a", &[]), ("", &["b"])]).expect_err("unknown");
        assert!(line == 2 && why.contains("\"b\", which is not a line's id"), "{why}");
        let (line, why) = checked(&[("a", &["a"])]).expect_err("itself");
        assert_eq!((line, why.as_str()), (1, "it needs itself: \"a\" needs \"a\""));
        let (line, why) = checked(&[("x", &["b"]), ("a", &["c"]), ("b", &["a"]), ("c", &["b"])]).expect_err("a circle");
        assert_eq!(line, 2);
        assert_eq!(why, "it needs itself: \"a\" needs \"c\" of line 4, which needs \"b\" of line 3, which needs \"a\"");
    }
}
