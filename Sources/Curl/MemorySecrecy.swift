internal import CCurl

/// Requests carry credentials, and those lie in memory.
public enum MemorySecrecy {
    /// From now on this process leaves no core file, and only root may look into its memory and environment (`PR_SET_DUMPABLE`).
    public static func begin() { ccurl_hide_memory() }
}
