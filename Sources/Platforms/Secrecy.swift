internal import Curl

/// For the program, which does not speak HTTP itself: its credentials are in its memory all the same.
public enum Secrecy {
    /// From now on this process leaves no core file, and only root may look into its memory and environment.
    public static func begin() { MemorySecrecy.begin() }
}
