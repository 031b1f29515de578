//! The file mode creation mask of this process.

/// Where the mask can't be read: nothing for anybody but the owner.
const CLOSED: u32 = 0o077;

/// The mask, as `/proc/self/status` has it (proc_pid_status(5)).
///
/// umask(2) can only be read by setting it, and another thread may create a file at that moment.
pub(super) fn current() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    parse(&status).unwrap_or(CLOSED)
}

fn parse(status: &str) -> Option<u32> {
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(mask.trim(), 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_is_read_as_octal() {
        assert_eq!(parse("Name:\tcat\nUmask:\t0027\nState:\tR\n"), Some(0o027));
        assert_eq!(parse("Name:\tcat\n"), None);
        assert!(current() <= 0o777);
    }
}
