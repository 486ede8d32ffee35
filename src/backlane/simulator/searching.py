"""Web search and file search, simulated: pages made of the input's words, texts of the files that were uploaded."""

from typing import Any

from backlane.simulator.conversation import Item
from backlane.simulator.desk import Desk, Finding, Work
from backlane.simulator.values import as_list, as_object


def search_web(desk: Desk) -> Work:
    """A search, a page opened, a word looked for in it; the pages it cites."""
    scripted = desk.scripted("web_search")
    pages = [as_object(page) for page in as_list(scripted)] if isinstance(scripted, list) else _pages(desk)
    query = str(pages[0].get("query", desk.topic())) if pages else desk.topic()
    links = [str(page.get("url", "https://example.test/")) for page in pages]
    actions: list[Item] = [{"type": "search", "query": query, "queries": [query]}]
    if links:
        pattern = (desk.source.terms or ["the"])[0]
        actions.append({"type": "open_page", "url": links[0]})
        actions.append({"type": "find_in_page", "url": links[0], "pattern": pattern})
    work = Work()
    for index, action in enumerate(actions):
        made = {"id": f"ws_{desk.tail}{index}", "type": "web_search_call", "status": "completed"}
        work.items.append({**made, "action": action})
    sources = [{"type": "url", "url": link} for link in links]
    work.hidden[work.items[0]["id"]] = {"action": {**actions[0], "sources": sources}}
    for page, link in zip(pages, links, strict=True):
        title = str(page.get("title", link))
        note = {"type": "url_citation", "url": link, "title": title}
        work.findings.append(Finding(str(page.get("text", title)), note))
    return work


def _pages(desk: Desk) -> list[dict[str, Any]]:
    sentences = [one.text for one in desk.source.key_sentences(2)]
    return [
        {
            "url": f"https://example.test/{term}",
            "title": term.capitalize(),
            "text": sentences[index] if index < len(sentences) else f"A page about {term}.",
        }
        for index, term in enumerate(desk.source.terms[:2])
    ]


def search_files(desk: Desk) -> Work:
    """One search; what it finds are the uploaded files, or what the script says."""
    scripted = desk.scripted("file_search")
    found = [as_object(one) for one in as_list(scripted)] if isinstance(scripted, list) else _documents(desk)
    item_id, queries = f"fs_{desk.tail}", [desk.topic()]
    work = Work([{"id": item_id, "type": "file_search_call", "status": "completed", "queries": queries}])
    results: list[Item] = []
    for number, one in enumerate(found):
        file_id = str(one.get("file_id", f"file-{desk.tail[:20]}{number}"))
        filename, text = str(one.get("filename", f"{file_id}.txt")), str(one.get("text", ""))
        score = float(one.get("score", round(0.9 - 0.1 * min(number, 8), 2)))
        result: Item = {
            "file_id": file_id,
            "filename": filename,
            "score": score,
            "text": text,
            "attributes": {},
        }
        results.append(result)
        note = {"type": "file_citation", "file_id": file_id, "filename": filename}
        work.findings.append(Finding(text or filename, note))
    work.hidden[item_id] = {"results": results}
    return work


def _documents(desk: Desk) -> list[dict[str, Any]]:
    """The first words of each file that was uploaded for it; without any, what the input says, as a file."""
    most = next((tool.get("max_num_results") for tool in desk.turn.tools("file_search")), None)
    documents: list[dict[str, Any]] = []
    for file in desk.files:
        if file.is_alive(desk.now) and file.purpose in ("assistants", "user_data"):
            lines = desk.files.read(file.data).text.split("\n")
            text = next((line.strip() for line in lines if line.strip()), "")
            documents.append({"file_id": file.id, "filename": file.filename, "text": text[:300]})
    if not documents:
        documents = [{"text": one.text} for one in desk.source.key_sentences(1)]
    return documents[: most if isinstance(most, int) else 20]
