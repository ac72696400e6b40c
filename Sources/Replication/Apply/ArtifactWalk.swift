extension TrackingStore {
    /// Every file under an owner's root, folder by folder. A name that is not safe is handed to `refused`; `before` comes before each request.
    func walk(
        filesOf owner: ArtifactOwner, under start: String = "", _ visit: (ArtifactEntry) async throws -> Void,
        refused: (_ path: String, _ why: String) throws -> Void, before: () async throws -> Void = {}
    ) async throws {
        var folders = [start]
        while let folder = folders.popLast() {
            var token: PageToken?
            var seen: Set<PageToken> = []
            repeat {
                try await before()
                let page: Page<ArtifactEntry>
                do {
                    page = try await artifacts(of: owner, under: folder, token)
                } catch let error as StoreError where error.reason == .notFound && token == nil {
                    break
                }
                for item in page.undecodable { try refused(item.id ?? "?", item.reason) }
                for entry in page.elements {
                    if let why = Self.refusal(entry, in: folder) {
                        try refused(entry.path, why)
                    } else if entry.isDirectory {
                        folders.append(entry.path)
                    } else {
                        try await visit(entry)
                    }
                }
                token = page.next
                // A listing that gives the same token twice would never end.
                if let next = token, !seen.insert(next).inserted {
                    throw StoreError(.setAside, .malformed, "the file listing of \(owner.id) repeats itself")
                }
            } while token != nil
        }
    }

    private static func refusal(_ entry: ArtifactEntry, in folder: String) -> String? {
        if let why = ArtifactPath.refusal(entry.path) { return why }
        if folder.isEmpty { return nil }
        return entry.path.hasPrefix(folder + "/") && entry.path != folder + "/"
            ? nil : "it lies outside the folder \"\(folder)\" that was listed"
    }

    /// - Parameter refused: told of each name that is not safe.
    func listing(
        filesOf owner: ArtifactOwner, under start: String = "",
        refused: (_ path: String, _ why: String) throws -> Void = { _, _ in }
    ) async throws -> [ExactName: Int64] {
        var sizes: [ExactName: Int64] = [:]
        try await walk(filesOf: owner, under: start) {
            sizes[ExactName($0.path)] = $0.size ?? 0
        } refused: {
            try refused($0, $1)
        }
        return sizes
    }
}
