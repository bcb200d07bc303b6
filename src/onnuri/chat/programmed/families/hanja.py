"""Readings of Hanja words, with the initial-sound rule (두음 법칙). Train and test have different words."""

from __future__ import annotations

from random import Random

from onnuri.chat.programmed.answers import FORM, final_line, final_value, squeezed
from onnuri.chat.programmed.family import RIGHT, Family, Result, Task, part_of, wrong

NAME = "hanja"
PROMPTS = (
    "다음 한자어를 한글로 쓰세요: {}",
    "'{}' 이 한자어는 어떻게 읽습니까?",
    "다음 한자어의 독음을 한글로 적으세요: {}",
    "'{}' 이 말을 한글로 옮겨 적으세요.",
)
ORDER = "차례대로 쉼표로 이어 적으세요."


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    words = text.split()
    return tuple(zip(words[::2], words[1::2], strict=True))


COMMON = _pairs(
    """韓國 한국 學校 학교 學生 학생 先生 선생 父母 부모 兄弟 형제 大學 대학 敎室 교실 圖書館 도서관 電話
    전화 新聞 신문 時間 시간 時計 시계 自動車 자동차 飛行機 비행기 空港 공항 市場 시장 食堂 식당 病院
    병원 藥局 약국 銀行 은행 會社 회사 社長 사장 天地 천지 春秋 춘추 夏至 하지 冬至 동지 東西 동서 南北
    남북 山水 산수 江山 강산 海外 해외 國家 국가 國民 국민 民主 민주 政府 정부 大統領 대통령 憲法 헌법
    法院 법원 警察 경찰 軍人 군인 戰爭 전쟁 平和 평화 統一 통일 世界 세계 地球 지구 宇宙 우주 太陽 태양
    科學 과학 數學 수학 文學 문학 音樂 음악 美術 미술 體育 체육 運動 운동 競技 경기 健康 건강 飮食 음식
    牛乳 우유 衣服 의복 家族 가족 結婚 결혼 誕生 탄생 幸福 행복 希望 희망 友情 우정 親舊 친구 約束 약속
    信用 신용 價格 가격 經濟 경제 産業 산업 農業 농업 商業 상업 工場 공장 機械 기계 技術 기술 情報 정보
    通信 통신 放送 방송 寫眞 사진 映畫 영화 演劇 연극 博物館 박물관"""
)
INITIAL_SOUND = _pairs(
    """女子 여자 男女 남녀 子女 자녀 老人 노인 敬老 경로 年末 연말 來年 내년 來日 내일 未來 미래 將來 장래
    歷史 역사 經歷 경력 學歷 학력 禮節 예절 婚禮 혼례 旅行 여행 料理 요리 材料 재료 資料 자료 流行 유행
    交流 교류 電流 전류 理由 이유 眞理 진리 原理 원리 利益 이익 有利 유리 便利 편리 勝利 승리 綠色 녹색
    新綠 신록 樂園 낙원 娛樂 오락 快樂 쾌락 論理 논리 討論 토론 結論 결론 勞動 노동 過勞 과로 冷水 냉수
    寒冷 한랭 內陸 내륙 陸地 육지 大陸 대륙 良心 양심 改良 개량 善良 선량 力量 역량 努力 노력 能力 능력
    實力 실력 練習 연습 訓練 훈련 聯合 연합 龍宮 용궁 恐龍 공룡 林野 임야 山林 산림 立場 입장 獨立 독립
    成立 성립 禮儀 예의 路線 노선 道路 도로 線路 선로 鐵路 철로 離別 이별 距離 거리 分離 분리 隣近 인근
    善隣 선린 臨時 임시 君臨 군림 料金 요금 無料 무료 給料 급료 輪作 윤작 車輪 차륜 倫理 윤리 人倫 인륜
    類型 유형 種類 종류 人類 인류 糧食 양식 食糧 식량 兩親 양친 淚腺 누선"""
)
TRICKY = _pairs(
    """比率 비율 確率 확률 能率 능률 規律 규율 法律 법률 系列 계열 序列 서열 隊列 대열 分裂 분열 破裂 파열
    戰列 전열 優劣 우열 旋律 선율 韻律 운율 百分率 백분율 效率 효율 出席率 출석률 合格率 합격률 六月
    유월 十月 시월 不動産 부동산 不足 부족 不正 부정 不當 부당 不可能 불가능 不便 불편 不滿 불만 不安
    불안 不實 부실 會議室 회의실 論議 논의 受諾 수락 許諾 허락 承諾 승낙 困難 곤란 非難 비난 論難 논란
    喜怒 희로 大怒 대로 金氏 김씨 金庫 금고 樂器 악기 復活 부활 回復 회복 變更 변경 暴力 폭력 暴惡 포악
    惡黨 악당 憎惡 증오 省略 생략 反省 반성 殺人 살인 相殺 상쇄 參加 참가 省察 성찰 度量 도량
    北方 북방 敗北 패배 車庫 차고"""
)
LISTS = {1: (COMMON,), 2: (COMMON, INITIAL_SOUND), 3: (INITIAL_SOUND, TRICKY)}
"""By difficulty."""
_SHORTENED, _WHOLE = (
    "여노연내역예요유이녹낙논냉육양용임입인윤누",
    "녀로년래력례료류리록락론랭륙량룡림립린륜루",
)
WITHOUT_THE_RULE = dict(zip(_SHORTENED, _WHOLE, strict=True))


def make(generator: Random, difficulty: int, split: str) -> Task:
    """One word; two; three, with readings that change (不, 率, 列)."""
    words = [pair for words in LISTS[difficulty] for pair in part_of(words, split)]
    chosen = generator.sample(words, difficulty)
    text = ", ".join(hanja for hanja, _ in chosen)
    lines = [generator.choice(PROMPTS).format(text)]
    if difficulty > 1:
        lines = [PROMPTS[generator.choice((0, 2))].format(text), ORDER]
    return Task(
        NAME,
        difficulty,
        split,
        "\n".join([*lines, FORM]),
        final_line(", ".join(reading for _, reading in chosen)),
        {"readings": [reading for _, reading in chosen]},
        " ".join(sorted(hanja for hanja, _ in chosen)),
    )


def check(task: Task, answer: str) -> Result:
    """The readings in order, with commas between."""
    value = final_value(answer)
    if value is None:
        return wrong("no single final answer")
    given = [squeezed(part) for part in value.split(",")]
    return RIGHT if given == task.parameters["readings"] else wrong("another reading")


def mistake(generator: Random, task: Task) -> str:
    """A reading without the initial-sound rule, or of another word."""
    readings = list(task.parameters["readings"])
    for index, reading in enumerate(readings):
        if reading[0] in WITHOUT_THE_RULE:
            readings[index] = WITHOUT_THE_RULE[reading[0]] + reading[1:]
            return final_line(", ".join(readings))
    others = [reading for _, reading in COMMON if reading != readings[-1]]
    return final_line(", ".join([*readings[:-1], generator.choice(others)]))


FAMILY = Family(
    NAME,
    "readings of Hanja words with the initial-sound rule (女子 여자, 男女 남녀)",
    "words",
    make,
    check,
    mistake,
)
