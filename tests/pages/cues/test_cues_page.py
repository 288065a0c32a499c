"""The page of the cue table."""

from cnnaudit.core.evidence import table
from cnnaudit.core.findings import Finding, Location
from cnnaudit.pages.cues import page


def test_the_page_shows_the_table_and_the_alarm(tmp_path, monkeypatch):
    shown = table("There and used", ["class", "there (AUC)", "used (gain)"], [["a", 0.5, None], ["<b>", 0.99, 0.8]])
    alarm = Finding(
        "shortcut.color",
        "t",
        "fail",
        "The model goes by red.",
        statistic=0.8,
        interval=(0.6, 1.0),
        locations=(Location(0.8, class_name="<b>"),),
        evidence=(shown,),
    )
    quiet = Finding("shortcut.file", "t", "not_applicable", "There are no files.")
    monkeypatch.setattr(page, "audit", lambda *_, **__: [alarm, quiet])
    target = type("Target", (), {"name": "t", "classes": ("a", "<b>")})()
    text = page.cues(target, tmp_path / "cues.html").read_text()
    assert "The model goes by: color." in text and "0.99 / 0.80" in text and "0.50 / –" in text
    assert "There are no files." in text and "<b>" not in text
