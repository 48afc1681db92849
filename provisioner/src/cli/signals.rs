//! Signals that end a program that runs until it is told to end.

/// Ctrl-C, what ends a service, and the end of the terminal, unless `nohup` has the program outlive it.
pub(super) async fn pass_on(interrupt: impl Fn()) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // Without handlers the signals end the process, as they would anyway.
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let heard = if outlives_terminal() { &kinds[..2] } else { &kinds[..] };
        let Ok(mut signals) = heard.iter().map(|kind| signal(*kind)).collect::<Result<Vec<_>, _>>() else {
            return;
        };
        loop {
            std::future::poll_fn(|context| {
                match signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready()) {
                    true => std::task::Poll::Ready(()),
                    false => std::task::Poll::Pending,
                }
            })
            .await;
            interrupt();
        }
    }
    #[cfg(not(unix))]
    while tokio::signal::ctrl_c().await.is_ok() {
        interrupt();
    }
}

/// Whether the hangup signal was ignored when the program began, as `nohup` has it: `SigIgn` in proc_pid_status(5).
#[cfg(unix)]
fn outlives_terminal() -> bool {
    let status =
        durable_files::read(std::path::Path::new("/proc/self/status")).ok().flatten().unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}
