import Hashing

extension Comparison {
    func compareFiles(_ key: EntityKey, of here: Run, _ there: Run) async throws {
        try await compareFiles(
            key, ArtifactOwner(.run(here.id), root: here.artifactURI), ArtifactOwner(.run(there.id), root: there.artifactURI),
            besides: try unknownDocument(.run(here.id), here.unknown), ruledBy: .experiment(here.experiment))
    }

    /// - Parameters:
    ///   - folder: where they are on the secondary, when not at the root.
    ///   - document: what the mirror has put among them there.
    func compareFiles(
        _ key: EntityKey, _ here: ArtifactOwner, _ there: ArtifactOwner, in folder: String = "", besides document: String? = nil,
        ruledBy subject: RuleSubject
    ) async throws {
        let mirror = mirror
        let unsafe = Locked<[String: String]>([:])
        let ours = try await mirror.retrying {
            try await mirror.primary.listing(filesOf: here) { path, why in unsafe.withLock { $0[path] = why } }
        }
        for (path, why) in unsafe.withLock({ $0 }).sorted(by: { $0.key < $1.key }) {
            try await tally.unreadable(key.kind, "\(key.id): file \(path)", why)
        }
        let listed = try await mirror.retrying { try await mirror.secondary.listing(filesOf: there, under: folder) }
        let added = try folder.isEmpty ? mirror.added(toFilesOf: there) : []
        let leaveOut = mirror.configuration.scope.passage.leaveOut
        var theirs: [ExactName: Int64] = [:]
        var places: [ExactName: String] = [:]
        for (listed, size) in listed {
            let place = listed.text
            var path = place
            if !folder.isEmpty {
                path = String(place.dropFirst(folder.count + 1))
            } else if !added.isEmpty, place.hasPrefix(Overflow.displacedFolder) {
                path = String(place.dropFirst(Overflow.displacedFolder.count))
                tally.converted("files of runs beside those of a logged model")
            } else if added.contains(where: { place.hasPrefix($0) }) || place == document {
                // What the mirror has put beside them is compared by itself.
                continue
            }
            if leaveOut.holds(file: path) { continue }
            theirs[ExactName(path)] = size
            places[ExactName(path)] = place
        }
        guard !ours.isEmpty || !theirs.isEmpty else { return }
        let secondaryID =
            switch there.id {
            case .run(let id): id.rawValue
            case .loggedModel(let id): id.rawValue
            }
        var fields = FieldComparison(key.kind, key.id, secondaryID)
        var shown: Set<String> = []
        for path in Set(ours.keys).union(theirs.keys).sorted() {
            tally.compared("files")
            let field = "file:" + (shown.insert(path.text).inserted ? path.text : path.spelled)
            fields.compare(field, ours[path].map { "\($0) bytes" }, theirs[path].map { "\($0) bytes" })
            if deep, let size = ours[path], theirs[path] == size {
                let one = try await mirror.retrying { try await mirror.digest(mirror.primary, path.text, here, size) }
                let other = try await mirror.retrying {
                    try await mirror.digest(mirror.secondary, places[path] ?? path.text, there, size)
                }
                fields.compare(field + ":sha256", one.hex, other.hex)
            }
        }
        try await note(fields.differences, repair: key, in: subject)
    }
}
