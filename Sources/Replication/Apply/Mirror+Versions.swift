extension Mirror {
    /// Writes one version, and gives back its number on the secondary.
    func writeVersion(_ version: ModelVersion, _ name: ModelName, _ there: [ModelVersion], _ work: inout RegistryWork) async throws -> Int {
        let numbers = work.rules.decision(.versionNumber, Self.numberField(version))
        var existing = there.first { isOurs($0, version) }
        let isEarly =
            existing.map { $0.number < version.number } ?? false && numbers == .fill && work.highestNumber < version.number
            && !work.rules.isSealed
        // Of a copy that is there it is not asked again what it was made of: that may be gone since.
        let isMade = existing != nil && !isEarly && VersionSource.version(version.source) != nil
        let origin = try await origin(of: version, followsCopies: !isMade)
        for model in origin.models where !work.wrote(version) { work.followUps.insert(.loggedModel(model)) }
        let (map, holder) = (origin.map, origin.holder)
        let source = try await isMade ? "" : acceptedSource(of: version, origin)
        // Files and run go together.
        let isHeld = origin.places.models.values.contains { source == $0 || source.hasPrefix($0 + "/") }
        let run = (isHeld ? holder : nil) ?? version.run.flatMap { map.runs[$0] }
        let tags = versionTags(version, map) + (work.aliases[version.number] ?? []).map { Stamp.tag(ofAlias: $0) }
        if let early = existing, isEarly {
            try await takeBack(version, early.number, name, &work)
            existing = nil
        }
        if let existing {
            try refuseAnother(version, existing, run: version.run.flatMap { map.runs[$0] })
            try await updateVersion(version, existing, name, tags, &work)
            if existing.number != version.number { work.conflicts.append(renumbered(version, existing.number, work.key)) }
            return existing.number
        }
        if work.wrote(version) {
            throw SetAside(
                reason: "gone_from_secondary",
                message: "its copy was deleted on the secondary; it is not brought back, because its number there is used up")
        }
        let new = NewVersion(
            model: name, source: source, run: run, runLink: version.runLink,
            loggedModel: (version.loggedModel ?? References.find(inURI: version.source).models.first).flatMap { map.models[$0] },
            description: version.description,
            tags: fitting(tags))
        let long = Set(tags.map(\.key)).subtracting(new.tags.map(\.key)).sorted()
        work.letters += tooLong(long.map { "v\(version.number):tag:\($0)" }, of: work.key)
        try state.noteWrites(tags.map { Self.tagField(version, $0.key) }, of: work.key)
        let number = try await createVersion(new, version, &work)
        work.noteVersion(version, new.tags)
        if version.stage != "None", !version.stage.isEmpty { try await secondary.setStage(version.stage, ofVersion: number, of: name) }
        if version.status != "READY" { note(conversions: ["version_status:\(version.status)"], of: work.key) }
        work.wrote = true
        board.count { $0.versions.created += 1 }
        return number
    }

    /// A version whose source or run has changed is another one of the same number: the model was deleted and made again.
    private func refuseAnother(_ version: ModelVersion, _ existing: ModelVersion, run: RunID?) throws(SetAside) {
        let source = existing.tags.first { $0.key == Stamp.sourceKey }?.value
        guard
            source.map({ isAnother($0, version) }) ?? false
                || run != nil && existing.run != nil && run != existing.run
        else { return }
        throw SetAside(
            reason: "version_replaced",
            message:
                "the primary has another version of this number now (source \(shownSource(version))); the secondary keeps the earlier one "
                + "(version \(existing.number), source \(configuration.scope.passage.mask.text(source ?? existing.source))). Delete the model there to have it copied anew."
        )
    }

    /// Not where only people are shown in another way, because another mask was in force.
    private func isAnother(_ source: String, _ version: ModelVersion) -> Bool {
        let shown = shownSource(version)
        if source == version.source || source == shown { return false }
        return !(Mask.hidesPeople(source) || Mask.hidesPeople(shown)) || Mask.besidesPeople(source) != Mask.besidesPeople(shown)
    }

    private func versionTags(_ version: ModelVersion, _ map: References.Map) -> [Tag] {
        RunImage.rewritten(version.tags, map) + stamp.tags(version.number, of: version.model) + [
            Tag(Stamp.sourceKey, shownSource(version))
        ]
    }

    private func isOurs(_ there: ModelVersion, _ version: ModelVersion) -> Bool {
        stamp.version(of: version.model, in: there.tags) == version.number
    }

    /// Creates the version under its own number: numbers that the primary has no version of any more are used up by placeholders.
    ///
    /// A placeholder goes only when a higher version is there: a deleted version's number is used up and to be seen nowhere, so that an
    /// interrupted apply would count from too low.
    private func createVersion(_ new: NewVersion, _ version: ModelVersion, _ work: inout RegistryWork) async throws -> Int {
        // With a new state file nobody knows which numbers were used and deleted: the version itself finds out.
        let rule = work.rules.decision(.versionNumber, Self.numberField(version))
        if rule == .park, work.knowsHighest, work.highestNumber + 1 != version.number { throw parkedNumber(version, &work) }
        while rule == .fill, work.knowsHighest, work.highestNumber + 1 < version.number {
            var placeholder = new
            placeholder.tags = stamp.tags(Stamp.versionKey, Stamp.placeholderID) + [Tag(Stamp.placeholderKey, "true")]
            placeholder.description = "keeps a number of a deleted version"
            let number = try await sending(work.key) { [placeholder] in try await secondary.createVersion(placeholder) }
            guard number > work.highestNumber else {
                // A store that uses numbers again: no number can be kept free there.
                try await secondary.deleteVersion(number, of: new.model)
                throw SetAside(reason: "number_taken", message: "its number cannot be reached on the secondary, which uses numbers again")
            }
            work.placeholders.append(number)
            board.count { $0.conversions["version_number_filled", default: 0] += 1 }
            work.highestNumber = max(work.highestNumber, number)
        }
        work.knowsHighest = true
        let number: Int
        do {
            number = try await sending(work.key) { try await secondary.createVersion(new) }
        } catch let error as StoreError where error.isInDoubt {
            guard let found = try await allVersions(secondary, new.model).first(where: { isOurs($0, version) }) else { throw error }
            number = found.number
        }
        work.highestNumber = max(work.highestNumber, number)
        for placeholder in work.placeholders { try await secondary.deleteVersion(placeholder, of: new.model) }
        work.placeholders = []
        if rule == .park, number != version.number {
            try await secondary.deleteVersion(number, of: new.model)
            throw parkedNumber(version, &work)
        }
        if number < version.number, rule == .fill {
            // Versions deleted on the secondary hide their numbers; ours was lower than it looked.
            try await secondary.deleteVersion(number, of: new.model)
            return try await createVersion(new, version, &work)
        }
        if number != version.number { work.conflicts.append(renumbered(version, number, work.key)) }
        return number
    }

    /// Its own number can still be had: an attempt did not live to take this one back, or the rules let it have any number then.
    private func takeBack(_ version: ModelVersion, _ number: Int, _ name: ModelName, _ work: inout RegistryWork) async throws {
        // First of all: what is gone and was known as written is not brought back.
        work.forget(version, there: number)
        if let base = work.base { try state.save(base, of: .registeredModel, work.key.id) }
        try await secondary.deleteVersion(number, of: name)
    }

    static func numberField(_ version: ModelVersion) -> String { "version:\(version.number)" }

    private func renumbered(_ version: ModelVersion, _ number: Int, _ key: EntityKey) -> Conflict {
        Conflict(
            key: key, field: Self.numberField(version), kind: .versionNumber, decision: .renumber,
            detail: "the number is \(number > version.number ? "taken" : "not reached") on the secondary; there it is version \(number)")
    }

    private func parkedNumber(_ version: ModelVersion, _ work: inout RegistryWork) -> SetAside {
        work.conflicts.append(
            Conflict(
                key: work.key, field: Self.numberField(version), kind: .versionNumber, decision: .park,
                detail: "its number cannot be had on the secondary, where the next one is \(work.highestNumber + 1)"))
        return SetAside(reason: "number_taken", message: "its number cannot be had on the secondary, and the rules leave it to people")
    }

    private func updateVersion(
        _ version: ModelVersion, _ existing: ModelVersion, _ name: ModelName, _ desired: [Tag], _ work: inout RegistryWork
    ) async throws {
        // The model's base may be older than the version.
        let isMade = work.base != nil && !work.wrote(version)
        let tags = TagPlan(
            desired, base: work.base, actual: existing.tags, key: work.key, maximumLength: secondary.dialect.registryTagValueLength,
            prefix: "v\(version.number):", isMade: isMade, deletesUnknown: work.rules.repairs, inDoubt: work.inDoubt,
            rules: work.rules, fields: &work.fields)
        try state.noteWrites(tags.set.map { Self.tagField(version, $0.key) }, of: work.key)
        work.letters += tooLong(tags.tooLong.map { "v\(version.number):tag:\($0)" }, of: work.key)
        for tag in tags.set { try await secondary.setTag(tag, ofVersion: existing.number, of: name) }
        for tag in tags.delete { try await secondary.deleteTag(tag, ofVersion: existing.number, of: name) }
        work.conflicts += tags.conflicts
        work.tags += tags.set.count
        var wrote = !tags.set.isEmpty || !tags.delete.isEmpty
        if work.decide("v\(version.number):description", .description, version.description, existing.description, isMade: isMade) {
            try await secondary.setDescription(version.description, ofVersion: existing.number, of: name)
            wrote = true
        }
        if work.decide("v\(version.number):stage", .stage, version.stage, existing.stage, isMade: isMade) {
            try await secondary.setStage(version.stage.isEmpty ? "None" : version.stage, ofVersion: existing.number, of: name)
            wrote = true
        }
        work.wrote = work.wrote || wrote
        board.count { counts in if wrote { counts.versions.updated += 1 } else { counts.versions.unchanged += 1 } }
    }

    static func tagField(_ version: ModelVersion, _ key: String) -> Base.Field { Base.Field("v\(version.number):tag:\(key)") }

    /// A version that is gone from the primary is deleted here when the primary says so itself: a listing without it is not enough.
    func deleteVersions(
        _ record: RegisteredModel, _ versions: [ModelVersion], _ there: [ModelVersion], _ name: ModelName, _ work: inout RegistryWork
    ) async throws {
        var seen = Set(versions.map(\.number))
        for version in there {
            // Of several with one stamp the first is ours: people have copied the others from it, tags and all.
            guard let number = stamp.version(of: record.name, in: version.tags), seen.insert(number).inserted else { continue }
            guard try await primary.version(of: record.name, number) == nil else { continue }
            let field = "version:\(number)"
            if work.rules.decision(.deletedOnPrimary, field) == .keep {
                work.conflicts.append(.keptDeletion(work.key, field: field))
                continue
            }
            // What a version says is gone for good with it.
            guard try state.mayDelete(work.key, part: "\(number)", at: clock.nowMilliseconds) else {
                work.letters.append(
                    DeadLetter(
                        key: work.key, path: "version \(number)", reason: Brake.reason,
                        message: Brake.message("version \(number) of \"\(record.name)\"")))
                continue
            }
            try await secondary.deleteVersion(version.number, of: name)
            work.wrote = true
            board.count { $0.versions.deleted += 1 }
        }
    }
}
