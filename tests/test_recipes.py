"""The published recipe varied: a row for each recipe, generator and number, from surveys that have the same seeds."""

from lux.controls import recipes


def test_each_recipe_is_scored_on_both_generators_between_surveys_with_and_without_lines(monkeypatch):
    asked = []

    def measured(generator, depth, number, first_seed, spectra):
        asked.append((generator, depth, first_seed + number))
        found = depth > 0
        return {name: {"rmse": number + 100 * found, "mig_lowest": float(found)} for name in recipes.RECIPES}

    monkeypatch.setattr(recipes, "_measure", measured)
    rows = recipes.vary(3, 70, None, n_jobs=1)
    assert {seed for _, _, seed in asked} == {70, 71, 72}
    assert len(asked) == 12
    assert len(rows) == 2 * 2 * len(recipes.RECIPES)
    for row in rows:
        assert row.get("area", [1.0])[0] == 1.0
        assert row.get("true", [0, 3]) == [0, 3]
    assert {row["recipe"] for row in rows} == set(recipes.RECIPES)


def test_a_recipe_changes_the_published_one_and_nothing_else():
    assert recipes.RECIPES["as published"] == {}
    assert all(len(changes) == 1 for name, changes in recipes.RECIPES.items() if changes)
