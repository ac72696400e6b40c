import FoundationEssentials

extension ReplicationState {
    /// What the primary holds and nobody copies, by kind: as the last listing of everything has counted it.
    public var uncopied: [String: Int] {
        get throws {
            guard let text = try control(.uncopied) else { return [:] }
            return (try? JSONDecoder().decode([String: Int].self, from: Data(text.utf8))) ?? [:]
        }
    }

    /// Writes only what is another count than before.
    func note(uncopied counts: [String: Int]) throws {
        let counts = counts.filter { $0.value > 0 }
        guard try uncopied != counts else { return }
        try setControl(.uncopied, counts.isEmpty ? nil : String(decoding: try JSONEncoder().encode(counts), as: UTF8.self))
    }
}
