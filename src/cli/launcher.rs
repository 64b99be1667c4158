//! The launcher of this process, such as `mpirun` or `srun`, by the environment variables that it
//! sets. Without one, nothing of MPI is used.

use std::env;

/// The variables with the number of processes and with the rank of this one.
const VARIABLES: [[&str; 2]; 4] = [
    // Open MPI
    ["OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"],
    // MPICH, Intel MPI, and `srun --mpi=pmi2`
    ["PMI_SIZE", "PMI_RANK"],
    // MVAPICH
    ["MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"],
    // `srun --mpi=pmix`. Without PMIX_RANK the processes of `srun` cannot send messages.
    ["SLURM_STEP_NUM_TASKS", "PMIX_RANK"],
];

/// The environment variables of a launcher that has started several processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launched {
    /// The variable with the number of processes.
    pub variable: &'static str,
    /// The number of processes, at least 2.
    pub count: usize,
    /// The rank of this process.
    pub rank: usize,
}

impl Launched {
    /// Returns what the launcher of this process says; `None` if the process is alone.
    pub fn find() -> Option<Self> {
        Self::find_by(|name| env::var(name).ok())
    }

    /// The first launcher that is found decides, also if it has started only one process: the
    /// variables after it may come from another launcher around it.
    fn find_by(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let number = |name| variable(name)?.parse::<usize>().ok();
        let found = VARIABLES.into_iter().find_map(|[count, rank]| {
            Some(Self { variable: count, count: number(count)?, rank: number(rank)? })
        });
        found.filter(|found| found.count > 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Option<(&'static str, usize, usize)> {
        let value =
            |name: &str| variables.iter().find(|known| known.0 == name).map(|known| known.1.to_owned());
        Launched::find_by(value).map(|found| (found.variable, found.count, found.rank))
    }

    #[test]
    fn every_launcher_is_found() {
        for [count, rank] in VARIABLES {
            assert_eq!(found(&[(count, "4"), (rank, "3")]), Some((count, 4, 3)), "{count}");
            assert_eq!(found(&[(count, "1"), (rank, "0")]), None, "{count}");
            assert_eq!(found(&[(count, "4")]), None, "{count}");
            assert_eq!(found(&[(count, "many"), (rank, "0")]), None, "{count}");
        }
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn the_inner_launcher_decides() {
        let inner = [("OMPI_COMM_WORLD_SIZE", "1"), ("OMPI_COMM_WORLD_RANK", "0")];
        let outer = [("SLURM_STEP_NUM_TASKS", "4"), ("PMIX_RANK", "2")];
        assert_eq!(found(&[inner, outer].concat()), None);
        assert_eq!(found(&outer), Some(("SLURM_STEP_NUM_TASKS", 4, 2)));
        assert_eq!(found(&[("SLURM_NTASKS", "4"), ("SLURM_PROCID", "0")]), None);
    }
}
