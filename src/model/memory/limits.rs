//! How much memory this process may use: the machine's, and the limits that a container, a batch system or a shell sets.
//!
//! Everything is read from Linux's files; elsewhere no limit is known. A control group is limited by every group above it. A
//! limit on the address space (`ulimit -v`) counts what the process has mapped already, the text among it.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// No group has as much: version 1 writes such a number for "unlimited".
const UNLIMITED: f64 = (1u64 << 60) as f64;

/// The most that a process may use.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limit {
    /// Bytes.
    pub(crate) bytes: f64,
    /// Bytes of it that are in use, and on top of which the rest comes.
    pub(crate) used: f64,
    /// Where it comes from, behind "more than the 8.0 GiB".
    pub(crate) of: String,
}

/// All that are known. A limit that cannot be read is none.
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

/// The limit that a need of so many bytes breaks, the tightest if there are several.
pub(crate) fn broken(limits: Vec<Limit>, needed: f64) -> Option<Limit> {
    let broken = limits.into_iter().filter(|limit| needed + limit.used > limit.bytes);
    broken.min_by(|a, b| (a.bytes - a.used).total_cmp(&(b.bytes - b.used)))
}

/// The value of a line such as `MemTotal:   16384 kB`, in bytes.
fn kibibytes(text: &str, key: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(1024.0 * line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()?)
}

fn machine(meminfo: &str) -> Option<Limit> {
    let bytes = kibibytes(meminfo, "MemTotal")?;
    Some(Limit { bytes, used: 0.0, of: "of this machine".to_owned() })
}

/// The soft limits of `ulimit`, from `/proc/self/limits` and `/proc/self/status`.
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

/// The folder of a control group, and the one that its hierarchy is mounted at.
#[derive(Clone, Debug, PartialEq)]
struct Group {
    mount: PathBuf,
    folder: PathBuf,
    /// Of version 2.
    unified: bool,
}

/// The groups that limit this process's memory, from `/proc/self/mountinfo` and `/proc/self/cgroup`.
fn groups(mounts: &str, memberships: &str) -> Vec<Group> {
    mounts.lines().filter_map(|line| group(line, memberships)).collect()
}

/// `31 23 0:28 ROOT MOUNT OPTIONS ... - TYPE SOURCE OPTIONS`, of a hierarchy of which ROOT is what MOUNT shows.
fn group(mount: &str, memberships: &str) -> Option<Group> {
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
    // A container sees its own group at the mount, and may know that group's name from outside.
    let below = Path::new(member).strip_prefix(&root).unwrap_or(Path::new(""));
    let folder = PathBuf::from(&mount).join(below.strip_prefix("/").unwrap_or(below));
    Some(Group { mount: mount.into(), folder, unified })
}

/// Without the octal escapes of `/proc/self/mountinfo`.
fn unescaped(path: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(path.to_owned(), |path, (escape, letter)| path.replace(escape, letter))
}

/// The limits of a group and of those above it.
fn of_group(group: &Group, read: impl Fn(&Path) -> Option<String>) -> Vec<Limit> {
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
    fn every_group_above_limits_in_version_2() {
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
    fn version_1_has_a_hierarchy_of_its_own() {
        let memberships = "9:name=systemd:/x\n4:cpu,cpuacct:/a\n3:memory:/jobs/17\n0::/elsewhere\n";
        let files = [
            ("/sys/fs/cgroup/memory/jobs/17/memory.limit_in_bytes", "9223372036854771712\n"),
            ("/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes", "700000000\n"),
        ];
        let expected = [(7e8, allows("/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes"))];
        assert_eq!(found(V1, memberships, &files), expected);
    }

    /// A container's mount shows its own group alone, whose name may be that from outside.
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
    fn files_that_say_nothing_limit_nothing() {
        assert!(found("", "0::/\n", &[]).is_empty() && found(V2, "", &[]).is_empty());
        assert!(found(V2, "0::/\n", &[("/sys/fs/cgroup/memory.max", "many")]).is_empty());
        assert!(found("35 31 0:32 /", "0::/\n", &[]).is_empty());
        let spaced = V2.replace("/sys/fs/cgroup", "/my\\040groups");
        let limits = found(&spaced, "0::/\n", &[("/my groups/memory.max", "9")]);
        assert_eq!(limits, [(9.0, allows("/my groups/memory.max"))]);
    }

    #[test]
    fn shells_limit_the_address_space_and_the_data() {
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
    fn the_tightest_limit_is_told() {
        let limit = |bytes, used, of: &str| Limit { bytes, used, of: of.to_owned() };
        let limits = || vec![limit(100.0, 0.0, "a"), limit(90.0, 0.0, "b"), limit(95.0, 20.0, "c")];
        let told = |needed| broken(limits(), needed).map(|limit| limit.of);
        assert_eq!(told(75.0), None);
        assert_eq!(told(80.0), Some("c".to_owned()));
        assert_eq!(told(95.0), Some("c".to_owned()));
        assert_eq!(broken(limits()[..2].to_vec(), 99.0), Some(limit(90.0, 0.0, "b")));
    }

    #[test]
    fn the_total_is_read_from_meminfo() {
        let text = "MemFree:  12 kB\nMemTotal:       16384 kB\n";
        assert_eq!(machine(text).map(|limit| limit.bytes), Some(16384.0 * 1024.0));
        assert_eq!((machine("MemTotal: many kB"), machine("")), (None, None));
    }
}
