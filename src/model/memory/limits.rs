//! The memory that this process may use: the memory of the machine, and the limits of a container,
//! a batch system or a shell.
//!
//! All limits are read from files of Linux; on other systems no limit is known. The limits of all
//! ancestors of a control group apply. A limit of the address space (`ulimit -v`) also counts the
//! memory that is already mapped, including the corpus.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Limits from this number of bytes on mean "unlimited" in version 1 of control groups.
const UNLIMITED: f64 = (1u64 << 60) as f64;

/// A limit of the memory of this process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limit {
    /// The limit in bytes.
    pub(crate) bytes: f64,
    /// Bytes already in use.
    pub(crate) used: f64,
    /// The source of the limit, for messages: it follows "more than the 8.0 GiB".
    pub(crate) of: String,
}

/// Returns all known limits. A limit that cannot be read is ignored.
pub(crate) fn limits() -> Vec<Limit> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let status = read("/proc/self/status");
    let mut limits: Vec<Limit> = machine(&read("/proc/meminfo")).into_iter().collect();
    limits.extend(of_process(&read("/proc/self/limits"), &status));
    for group in groups(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup")) {
        limits.extend(of_group(&group, |path| fs::read_to_string(path).ok()));
    }
    limits
}

/// Returns the tightest limit that `needed` bytes exceed.
pub(crate) fn exceeded(limits: Vec<Limit>, needed: f64) -> Option<Limit> {
    let exceeded = limits.into_iter().filter(|limit| needed + limit.used > limit.bytes);
    exceeded.min_by(|a, b| (a.bytes - a.used).total_cmp(&(b.bytes - b.used)))
}

/// Returns the value of a line such as `MemTotal:   16384 kB`, in bytes.
fn kibibytes(text: &str, key: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(1024.0 * line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()?)
}

fn machine(meminfo: &str) -> Option<Limit> {
    let bytes = kibibytes(meminfo, "MemTotal")?;
    Some(Limit { bytes, used: 0.0, of: "of this machine".to_owned() })
}

/// Returns the soft limits of `ulimit`, from `/proc/self/limits` and `/proc/self/status`.
fn of_process(limits: &str, status: &str) -> Vec<Limit> {
    let find = |(name, flag, used): (&str, &str, &str)| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
        let bytes = line.split_whitespace().next()?.parse().ok()?;
        let used = kibibytes(status, used).unwrap_or(0.0);
        Some(Limit { bytes, used, of: format!("that `ulimit {flag}` allows") })
    };
    [("Max address space", "-v", "VmSize"), ("Max data size", "-d", "VmData")]
        .into_iter()
        .filter_map(find)
        .collect()
}

/// The folder of a control group, and the mount point of its hierarchy.
#[derive(Clone, Debug, PartialEq)]
struct ControlGroup {
    mount: PathBuf,
    folder: PathBuf,
    /// True for version 2.
    unified: bool,
}

/// Returns the control groups that limit the memory of this process, from `/proc/self/mountinfo`
/// and `/proc/self/cgroup`.
fn groups(mounts: &str, memberships: &str) -> Vec<ControlGroup> {
    mounts.lines().filter_map(|line| group(line, memberships)).collect()
}

/// Returns the control group of a line `31 23 0:28 ROOT MOUNT OPTIONS ... - TYPE SOURCE OPTIONS`.
/// ROOT is the folder of the hierarchy that is mounted at MOUNT.
fn group(mount: &str, memberships: &str) -> Option<ControlGroup> {
    let (place, kind) = mount.split_once(" - ")?;
    let (mut place, mut kind) = (place.split(' ').skip(3), kind.split(' '));
    let (root, mount) = (unescaped(place.next()?), unescaped(place.next()?));
    let unified = match kind.next()? {
        "cgroup2" => true,
        "cgroup" if kind.nth(1)?.split(',').any(|option| option == "memory") => false,
        _ => return None,
    };
    let member = memberships.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let its = match unified {
            true => number == "0" && controllers.is_empty(),
            false => controllers.split(',').any(|controller| controller == "memory"),
        };
        its.then_some(path)
    })?;
    // A container sees its own group at the mount. The membership may contain its outside name.
    let below = Path::new(member).strip_prefix(&root).unwrap_or(Path::new(""));
    let folder = PathBuf::from(&mount).join(below.strip_prefix("/").unwrap_or(below));
    Some(ControlGroup { mount: mount.into(), folder, unified })
}

/// Decodes the octal escapes of `/proc/self/mountinfo`.
fn unescaped(path: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(path.to_owned(), |path, (escape, letter)| path.replace(escape, letter))
}

/// Returns the limits of a group and of its ancestors.
fn of_group(group: &ControlGroup, read: impl Fn(&Path) -> Option<String>) -> Vec<Limit> {
    let names: &[&str] =
        if group.unified { &["memory.max", "memory.high"] } else { &["memory.limit_in_bytes"] };
    let above = group.folder.ancestors().take_while(|folder| folder.starts_with(&group.mount));
    let files = above.flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    files
        .filter_map(|file| {
            let bytes = read(&file)?.trim().parse().ok().filter(|bytes| *bytes < UNLIMITED)?;
            Some(Limit { bytes, used: 0.0, of: format!("that {} allows", file.display()) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const V1: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:5 - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
";
    const V2: &str = "\
25 30 0:23 / /sys/fs/cgroup rw,nosuid,nodev shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
26 30 0:24 / /proc rw - proc proc rw
";

    fn found(mounts: &str, memberships: &str, files: &[(&str, &str)]) -> Vec<(f64, String)> {
        let files: HashMap<_, _> =
            files.iter().map(|(name, text)| (PathBuf::from(name), text.to_string())).collect();
        let groups = groups(mounts, memberships);
        let limits = groups.iter().flat_map(|group| of_group(group, |path| files.get(path).cloned()));
        limits.map(|limit| (limit.bytes, limit.of)).collect()
    }

    fn allows(file: &str) -> String {
        format!("that {file} allows")
    }

    #[test]
    fn all_ancestors_limit_in_version_2() {
        let files = [
            ("/sys/fs/cgroup/user.slice/run.scope/memory.max", "max\n"),
            ("/sys/fs/cgroup/user.slice/run.scope/memory.high", "600000000\n"),
            ("/sys/fs/cgroup/user.slice/memory.max", "700000000\n"),
            ("/memory.max", "1\n"),
        ];
        let expected = [
            (6e8, allows("/sys/fs/cgroup/user.slice/run.scope/memory.high")),
            (7e8, allows("/sys/fs/cgroup/user.slice/memory.max")),
        ];
        assert_eq!(found(V2, "0::/user.slice/run.scope\n", &files), expected);
    }

    #[test]
    fn version_1_has_a_separate_hierarchy() {
        let memberships = "9:name=systemd:/x\n4:cpu,cpuacct:/a\n3:memory:/jobs/17\n0::/elsewhere\n";
        let files = [
            ("/sys/fs/cgroup/memory/jobs/17/memory.limit_in_bytes", "9223372036854771712\n"),
            ("/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes", "700000000\n"),
        ];
        let expected = [(7e8, allows("/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes"))];
        assert_eq!(found(V1, memberships, &files), expected);
    }

    /// The mount of a container shows only its own group, whose name may be the outside name.
    #[test]
    fn a_container_sees_its_group_at_the_mount() {
        let mount = "35 31 0:32 /docker/ab /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let file = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
        for member in ["5:memory:/docker/ab\n", "5:memory:/\n", "5:memory:/other\n"] {
            assert_eq!(found(mount, member, &[(file, "536870912")]), [(536_870_912.0, allows(file))]);
        }
        let below = "/sys/fs/cgroup/memory/c/memory.limit_in_bytes";
        let limits = found(mount, "5:memory:/docker/ab/c\n", &[(file, "5"), (below, "4")]);
        assert_eq!(limits, [(4.0, allows(below)), (5.0, allows(file))]);
    }

    #[test]
    fn files_without_limits_give_no_limits() {
        assert!(found("", "0::/\n", &[]).is_empty() && found(V2, "", &[]).is_empty());
        assert!(found(V2, "0::/\n", &[("/sys/fs/cgroup/memory.max", "many")]).is_empty());
        assert!(found("35 31 0:32 /", "0::/\n", &[]).is_empty());
        let spaced = V2.replace("/sys/fs/cgroup", "/my\\040groups");
        let limits = found(&spaced, "0::/\n", &[("/my groups/memory.max", "9")]);
        assert_eq!(limits, [(9.0, allows("/my groups/memory.max"))]);
    }

    #[test]
    fn ulimit_limits_the_address_space_and_the_data() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max data size             unlimited            unlimited            bytes     \n\
                      Max address space         524288000            unlimited            bytes     \n";
        let found = of_process(limits, "VmPeak:\t 9 kB\nVmSize:\t  1024 kB\nVmData:\t 512 kB\n");
        let of = "that `ulimit -v` allows".to_owned();
        assert_eq!(found, [Limit { bytes: 524_288_000.0, used: 1_048_576.0, of }]);
        let data = limits.replace("Max data size             unlimited", "Max data size             1000");
        assert_eq!(of_process(&data, "")[1].of, "that `ulimit -d` allows");
        assert!(of_process("", "").is_empty());
    }

    #[test]
    fn the_tightest_limit_is_reported() {
        let limit = |bytes, used, of: &str| Limit { bytes, used, of: of.to_owned() };
        let limits = || vec![limit(100.0, 0.0, "a"), limit(90.0, 0.0, "b"), limit(95.0, 20.0, "c")];
        let reported = |needed| exceeded(limits(), needed).map(|limit| limit.of);
        assert_eq!(reported(75.0), None);
        assert_eq!(reported(80.0), Some("c".to_owned()));
        assert_eq!(reported(95.0), Some("c".to_owned()));
        assert_eq!(exceeded(limits()[..2].to_vec(), 99.0), Some(limit(90.0, 0.0, "b")));
    }

    #[test]
    fn the_total_is_read_from_meminfo() {
        let text = "MemFree:  12 kB\nMemTotal:       16384 kB\n";
        assert_eq!(machine(text).map(|limit| limit.bytes), Some(16384.0 * 1024.0));
        assert_eq!((machine("MemTotal: many kB"), machine("")), (None, None));
    }
}
