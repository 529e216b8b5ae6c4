"""Short texts beside the stable codes of errors, for a till's or a customer's small display.

A table and no catalogue: there are few, they never change by themselves, and Babel is more than the
whole agent weighs. Each fits two rows of twenty characters. Both languages have every code.
"""

from __future__ import annotations

from typing import Final

from edge_agent.serial_settings import Language

TEXT_CHARS_MAX: Final = 40
_OTHER: Final = ("Refused", "Отказано")
_TEXTS: Final = {
    "already_committed": ("Receipt is sold already", "Чек уже пробит"),
    "bad_barcode": ("Barcode misread, scan again", "Код прочитан с ошибкой"),
    "bad_charset": ("Wrong character set", "Неверная кодировка"),
    "bad_customer": ("Customer: wrong field", "Ошибка в данных покупателя"),
    "bad_gift_card": ("Gift card: wrong field", "Ошибка в поле карты"),
    "bad_phone": ("This is no phone number", "Это не номер телефона"),
    "bad_sequence": ("Only HELLO has number 000", "Номер 000 только у HELLO"),
    "bad_time": ("Wrong date or time", "Неверные дата или время"),
    "bank_card": ("This is a bank card", "Это банковская карта"),
    "basket_differs": ("Till and agent differ", "Чек не совпал с кассой"),
    "busy": ("Busy, try again", "Занято, повторите"),
    "code_not_good": ("Code is over, open it again", "Код устарел, обновите"),
    "conflict": ("Not possible now", "Сейчас невозможно"),
    "consent_needed": ("Consent to rules is needed", "Нужно согласие с правилами"),
    "gift_card_amount": ("This amount is not allowed", "Такой номинал запрещён"),
    "gift_card_balance": ("Less is on the card", "На карте меньше"),
    "gift_card_currency": ("Another currency", "Другая валюта"),
    "gift_card_empty": ("Nothing is on the card", "Карта пуста"),
    "gift_card_expired": ("Gift card has expired", "Срок карты истёк"),
    "gift_card_not_sold": ("Gift card is not sold yet", "Карта ещё не продана"),
    "gift_card_sold": ("Gift card is sold already", "Карта уже продана"),
    "gift_card_used": ("Gift card has paid already", "Картой уже платили"),
    "gift_card_whole_only": ("Only the whole card pays", "Карта тратится целиком"),
    "gift_cards_offline": ("No link to head office", "Нет связи с центром"),
    "gift_cards_wait": ("Too many wrong cards, wait", "Много ошибок, подождите"),
    "internal": ("Internal error", "Внутренняя ошибка"),
    "look_ups_wait": ("Too many look-ups, wait", "Много запросов, подождите"),
    "members_offline": ("No link to head office", "Нет связи с центром"),
    "no_bundle": ("No promotions loaded yet", "Акции ещё не загружены"),
    "no_coupon": ("No such coupon here", "Нет такого купона"),
    "no_display": ("No customer display", "Нет дисплея покупателя"),
    "no_line": ("No such line", "Нет такой строки"),
    "no_receipt": ("No receipt is open", "Чек не открыт"),
    "no_right": ("Cashier may not do this", "Кассиру это запрещено"),
    "not_a_card": ("This is no loyalty card", "Это не карта лояльности"),
    "not_found": ("Not found", "Не найдено"),
    "number": ("A number is expected", "Ожидается число"),
    "operation_changed": ("Number was used otherwise", "Номер операции уже занят"),
    "operation_reversed": ("Operation was undone", "Операция отменена"),
    "other_receipt": ("Another receipt is open", "Открыт другой чек"),
    "over_limit": ("Too much without receipt", "Много для возврата без чека"),
    "phones_offline": ("Phones are not known now", "Поиск по телефону недоступен"),
    "pin_required": ("PIN is needed", "Нужен ПИН-код"),
    "pin_wait": ("Wrong PINs, wait", "Неверный ПИН, подождите"),
    "points_not_promised": ("Points not available", "Баллы недоступны"),
    "receipt": ("Receipt has a mistake", "Ошибка в чеке"),
    "receipt_busy": ("Receipt is being frozen", "Чек фиксируется"),
    "receipt_cancelled": ("Receipt was cancelled", "Чек был отменён"),
    "receipt_changed": ("Sold with other goods", "Чек пробит с другим составом"),
    "receipt_id": ("Wrong receipt number", "Неверный номер чека"),
    "receipt_open": ("Another receipt is open", "Открыт другой чек"),
    "return_changed": ("Return was made otherwise", "Возврат уже был другим"),
    "return_id": ("Wrong return number", "Неверный номер возврата"),
    "sale_ambiguous": ("Which till sold it?", "Какая касса продала?"),
    "sale_not_here": ("Sale is not known here", "Продажа здесь не найдена"),
    "sales_offline": ("No link to head office", "Нет связи с центром"),
    "too_long": ("Too long", "Слишком длинно"),
    "too_many_coupons": ("Too many coupons", "Слишком много купонов"),
    "too_many_lines": ("Too many lines", "Слишком много строк"),
    "too_many_payments": ("Too many payments", "Слишком много оплат"),
    "too_much": ("More than was sold", "Больше, чем продано"),
    "unavailable": ("Cannot answer now, try again", "Временно недоступно"),
    "unknown_command": ("Unknown command", "Неизвестная команда"),
    "unknown_field": ("Unknown field", "Неизвестное поле"),
    "unknown_gift_card": ("Gift card is not known", "Карта неизвестна"),
    "wrong_fields": ("Wrong number of fields", "Неверное число полей"),
    "wrong_pin": ("Wrong PIN", "Неверный ПИН-код"),
}
TO_PAY: Final = ("To pay", "К оплате")
DISCOUNT: Final = ("Discount", "Скидка")
THANKS: Final = ("Thank you!", "Спасибо за покупку!")
CODES: Final = frozenset(_TEXTS)


def text_of(code: str, language: Language) -> str:
    """The short text of an error's code."""
    return chosen(_TEXTS.get(code, _OTHER), language)


def chosen(texts: tuple[str, str], language: Language) -> str:
    """The text in this language: English stands first, Russian second."""
    return texts[0 if language == "en" else 1]
